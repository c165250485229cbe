"""Nuclei are numbered from 1 without gaps, in an order that does not depend on the tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from disks import store_of

from wsiseg.store.numbering import MARKER, NUCLEI, SQUARE_PX, marker_keys, numbered_nuclei, sorted_keys
from wsiseg.store.states import Stage, State

# Rows and columns of marker pixels, in the order of their ids: by square first.
MARKERS = [(0, 5), (70, 0), (2000, 2047), (3, SQUARE_PX), (4, 2100), (SQUARE_PX, 1)]
HEIGHT, WIDTH = 2100, 2200


@pytest.mark.parametrize("tile_px", [700, 2048])
def test_ids_do_not_depend_on_the_tiles(tmp_path: Path, tile_px: int) -> None:
    store = store_of(tmp_path / "store", np.zeros((HEIGHT, WIDTH), np.uint8), tile_px)
    shuffled = np.random.default_rng(0).permutation(MARKERS)
    for tile in store.tiles:
        core = tile.core
        here = [(r, c) for r, c in shuffled if core.y0 <= r < core.y1 and core.x0 <= c < core.x1]
        rows, cols = np.array(here, np.int32).reshape(-1, 2).T
        store.write_records(
            tile.row, tile.col, {NUCLEI: pa.table(dict(zip(MARKER, (rows, cols), strict=True)))}
        )
        store.states(Stage.OBJECTS).mark(tile.row, tile.col, State.DONE)
    numbered = pa.concat_tables(numbered_nuclei(store))
    assert numbered["id"].to_pylist() == [1, 2, 3, 4, 5, 6]
    assert list(zip(*(numbered[name].to_pylist() for name in MARKER), strict=True)) == MARKERS
    np.testing.assert_array_equal(sorted_keys(store), marker_keys(numbered, WIDTH))


def test_tiles_that_are_not_done_have_no_nuclei(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", np.zeros((100, 100), np.uint8), 64)
    assert list(numbered_nuclei(store)) == []
    assert sorted_keys(store).tolist() == []
