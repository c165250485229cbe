"""Neighbours of the nuclei of a store: those of the whole slide, whatever its tiles."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial import cKDTree

from wsiseg.objects.neighbours import neighbours
from wsiseg.objects.records import ALL_RECORDS
from wsiseg.slides.tissue import Tissue
from wsiseg.store.identity import FrameInfo
from wsiseg.store.memory_store import MemoryStore
from wsiseg.store.nuclei_tables import complete_nuclei
from wsiseg.store.numbering import NUCLEI
from wsiseg.store.states import Stage, State

WIDTH, HEIGHT, MPP = 5000, 2300, 0.5


def filled(tile_px: int, measurements: str = "all") -> MemoryStore:
    """Return a store of 1,000 nuclei whose centres are up to 40 px off their markers."""
    rng = np.random.default_rng(0)
    markers = rng.integers(0, (HEIGHT, WIDTH), (1000, 2))
    centres = (markers + rng.uniform(-40, 40, markers.shape)) * MPP
    frame = FrameInfo(WIDTH, HEIGHT, MPP, 2.0)
    store = MemoryStore(frame, Tissue(np.ones((1, 1), np.bool_), 1e4), tile_px, measurements)
    for row, col, core in store.tiles:
        inside = ((markers >= (core.y0, core.x0)) & (markers < (core.y1, core.x1))).all(1)
        known = {
            "marker_row": markers[inside, 0], "marker_col": markers[inside, 1],
            "centroid_y_um": centres[inside, 0], "centroid_x_um": centres[inside, 1],
        }  # fmt: skip
        count = int(inside.sum())
        arrays = [
            pa.array(known[f.name]).cast(f.type) if f.name in known else pa.nulls(count, f.type)
            for f in ALL_RECORDS
        ]
        store.write_records(row, col, {NUCLEI: pa.Table.from_arrays(arrays, schema=ALL_RECORDS)})
        store.states(Stage.OBJECTS).mark(row, col, State.DONE)
    return store


@pytest.mark.parametrize("tile_px", [300, 2048, 9000])
def test_tiles_do_not_show(tile_px: int) -> None:
    table = pa.concat_tables(complete_nuclei(filled(tile_px)))
    assert table["id"].to_pylist() == list(range(1, 1001))
    centres = np.stack([table[f"centroid_{axis}_um"].to_numpy() for axis in "xy"], 1)
    expected = neighbours(centres, centres)
    assert table.select(expected.column_names).combine_chunks().equals(expected.combine_chunks())
    nearest = cKDTree(centres).query(centres, k=2)[0][:, 1]
    np.testing.assert_allclose(
        table["nearest_um"].to_numpy()[nearest < 100], nearest[nearest < 100], rtol=1e-6
    )


def test_basic_tables_have_none() -> None:
    assert "nearest_um" not in next(complete_nuclei(filled(2048, "basic"))).column_names
