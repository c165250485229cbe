"""Nuclei of a Parquet file in several row groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from viewed_store import NUCLEI, THRESHOLD

from wsiseg.errors import StoreError
from wsiseg.viewer import rings as viewer_rings
from wsiseg.viewer.density import Density, keeps
from wsiseg.viewer.nuclei import Nuclei
from wsiseg.viewer.rings import NucleusRings


@pytest.fixture
def nuclei(viewed_store: Path) -> Nuclei:
    return Nuclei(viewed_store.with_name("slide.parquet"))


@pytest.mark.parametrize(
    ("x", "y", "tolerance", "expected"),
    [
        (120, 80, 0, 1),
        (539, 101, 0, 2),
        (705, 605, 0, 3),
        (730, 630, 0, None),  # in the hole
        (730, 622, 3, 3),  # in the hole, but close to its edge
        (310, 710, 0, 4),
        (350, 710, 0, 4),
        (330, 710, 0, None),  # between its two parts
        (1093, 251, 2, 5),
        (0, 0, 5, None),
    ],
)
def test_the_nucleus_at_a_point(
    nuclei: Nuclei, x: float, y: float, tolerance: float, expected: int | None
) -> None:
    # points of an outline are found from near; between them only the inside counts
    found = nuclei.at(x, y, tolerance if expected is None or tolerance == 0 else tolerance + 10)
    assert (found and found.measures["id"]) == expected


def test_measurements_are_those_of_the_file(nuclei: Nuclei) -> None:
    found = nuclei.at(350, 710, 0)
    assert found is not None
    assert found.row == 3
    assert found.measures["area_um2"] == pytest.approx(NUCLEI[3][0].area * 0.25**2)
    assert found.measures["haematoxylin_mean"] is None
    assert "geometry" not in found.measures
    assert np.diff(found.rings.nucleus_start).tolist() == [2]
    assert nuclei.units["area_um2"] == "um^2"


def test_those_in_a_rectangle_with_their_outlines(nuclei: Nuclei) -> None:
    rows, rings = nuclei.meeting(512, 0, 1024, 512)
    assert rows.tolist() == [1]
    rows, rings = nuclei.meeting(0, 0, 1200, 900)
    assert rows.tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(rings.bounds(), shapely.bounds([outline for outline, _ in NUCLEI]))
    rows, rings = nuclei.meeting(0, 300, 50, 310)
    assert len(rows) == len(rings) == 0


def test_least_certain_first(nuclei: Nuclei) -> None:
    order = [nuclei.least_certain(rank).measures["id"] for rank in range(len(nuclei))]
    assert order == [5, 2, 4, 3, 1]
    for rank in (-1, 5):
        with pytest.raises(LookupError):
            nuclei.least_certain(rank)


def test_what_is_no_file_of_nuclei_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no")
    pq.write_table(pa.table({"id": [1]}), tmp_path / "other.parquet")
    with pytest.raises(StoreError, match="not a Parquet file of nuclei"):
        Nuclei(tmp_path / "text.parquet")
    with pytest.raises(StoreError, match="no column centroid_x_l0"):
        Nuclei(tmp_path / "other.parquet")


def test_density_counts_every_nucleus_where_it_is(nuclei: Nuclei) -> None:
    density = Density(nuclei, 1200, 900, 0.25, THRESHOLD)
    assert density.bin_l0 == 64
    assert density.shape == (15, 19)
    bin_mm2 = 0.016**2
    for threshold, kept in [(0.1, 5), (THRESHOLD, 5), (0.5, 4), (0.7, 2), (0.95, 0)]:
        assert keeps(nuclei, threshold, THRESHOLD).sum() == kept
        assert density.per_mm2(threshold).sum() * bin_mm2 == pytest.approx(kept, rel=1e-4)
    only_first = density.per_mm2(0.9)
    # 120, 80 of level 0; what would flow over the edge stays
    row, col = np.unravel_index(only_first.argmax(), only_first.shape)
    assert max(row, col) <= 1
    # the same density has the same colour at every threshold
    assert density.shares(THRESHOLD).max() == 255
    assert (density.shares(0.7) <= density.shares(THRESHOLD)).all()


def test_outlines_are_decoded_once_while_they_fit(
    viewed_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []

    def counting(column: pa.ChunkedArray) -> NucleusRings:
        decoded.append(len(column))
        return viewer_rings.decoded(column)

    monkeypatch.setattr("wsiseg.viewer.nuclei.decoded", counting)
    path = viewed_store.with_name("slide.parquet")
    nuclei = Nuclei(path)
    for _ in range(3):
        nuclei.meeting(0, 0, 1200, 900)
    assert sum(decoded) == 5  # every nucleus once

    decoded.clear()
    monkeypatch.setattr("wsiseg.viewer.nuclei.OUTLINE_CACHE_BYTES", 1)
    nuclei = Nuclei(path)
    for _ in range(2):
        rows, _ = nuclei.meeting(0, 0, 1200, 900)
        assert rows.tolist() == [0, 1, 2, 3, 4]
    assert sum(decoded) == 15  # nothing fits: for the index, then at each call
