"""The preview: what is drawn lies where it should, whatever the slide is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
from PIL import Image

from wsiseg.errors import StoreError
from wsiseg.report.legend import scale_bar
from wsiseg.report.preview import NUCLEI_COLOUR, write_preview

PINK = (230, 180, 210)


def records(polygons: Any) -> pa.Table:
    """Return what the preview takes of the records of nuclei."""
    centres = shapely.get_coordinates(shapely.centroid(polygons)).reshape(-1, 2)
    wkb = pa.array(list(shapely.to_wkb(polygons)), pa.binary())
    return pa.table({"centroid_x_l0": centres[:, 0], "centroid_y_l0": centres[:, 1], "geometry": wkb})


def drawn(path: Path, polygons: Any, shape: tuple[int, int], **settings: Any) -> Any:
    thumbnail = np.full((*shape, 3), PINK, np.uint8)
    options: dict[str, Any] = {
        "scale_l0": 1.0, "mpp_l0": 0.25, "tissue_outlines_l0": [], "title": "a", "count": len(polygons),
    }  # fmt: skip
    write_preview(path, thumbnail, batches=[records(polygons)], **(options | settings))
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_outlines_lie_at_their_place_at_full_resolution(tmp_path: Path) -> None:
    # Level-0 pixels are twice as fine as the thumbnail, which is enlarged four times: 2 px a level-0 pixel.
    nucleus = shapely.box(100, 300, 140, 330)
    image = drawn(tmp_path / "a.preview.jpg", [nucleus], (300, 200), scale_l0=2.0)
    green = np.argwhere((np.abs(image.astype(int) - NUCLEI_COLOUR).sum(axis=2) < 60) & (image[..., 0] < 60))
    assert image.shape[1] == 4 * 200
    assert np.abs(green.min(axis=0) - [2 * 300, 2 * 100]).max() <= 2
    assert np.abs(green.max(axis=0) - [2 * 330, 2 * 140]).max() <= 2
    assert np.abs(image[2 * 315, 2 * 120].astype(int) - PINK).max() <= 3


def test_density_is_high_where_the_nuclei_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(64 * 150, 600, 500), rng.normal(64 * 50, 600, 500)
    polygons = shapely.box(x, y, x + 30, y + 30)
    ring = np.array([[0, 0], [64 * 200, 0], [64 * 200, 64 * 100], [0, 64 * 100]])
    image = drawn(tmp_path / "a.preview.jpg", polygons, (100, 200), scale_l0=64.0, tissue_outlines_l0=[ring])
    factor = image.shape[1] // 200
    changed = np.abs(image[: 100 * factor].astype(int) - PINK).sum(axis=2)
    assert changed[50 * factor, 150 * factor] > 100
    assert changed[50 * factor, 40 * factor] < 10


def test_an_empty_slide_has_a_picture_too(tmp_path: Path) -> None:
    image = drawn(tmp_path / "a.preview.jpg", [], (30, 40), scale_l0=100.0)
    assert np.abs(image[0, 0].astype(int) - PINK).max() <= 3
    assert (image[-60:] < 100).any(), "no legend"


@pytest.mark.parametrize("shape", [(1, 1), (3, 2100), (2100, 3), (2500, 1900)])
def test_odd_sizes(tmp_path: Path, shape: tuple[int, int]) -> None:
    image = drawn(tmp_path / "a.preview.jpg", [shapely.box(0, 0, 1, 1)], shape, title="long name " * 40)
    assert max(image.shape) < 2200


def test_batches_are_taken_one_by_one(tmp_path: Path) -> None:
    def batches() -> Iterator[pa.Table]:
        for i in range(3):
            yield records([shapely.box(20 * i, 5, 20 * i + 10, 15)])
        yield records([])

    thumbnail = np.full((60, 60, 3), PINK, np.uint8)
    write_preview(
        tmp_path / "a.preview.jpg", thumbnail, scale_l0=1, mpp_l0=0.25, tissue_outlines_l0=[],
        batches=batches(), title="a", count=3,
    )  # fmt: skip
    with Image.open(tmp_path / "a.preview.jpg") as picture:
        row = np.asarray(picture)[4 * 10, : 4 * 60]
    assert (np.abs(row.astype(int) - PINK).sum(axis=1) > 100).sum() >= 6


@pytest.mark.parametrize(
    ("mpp", "width", "expected"),
    [(0.25, 1000, (200, "50 µm")), (16, 2000, (312, "5 mm")), (1, 5, (1, "1 µm"))],
)
def test_scale_bar_is_round_and_at_most_a_fifth(mpp: float, width: int, expected: tuple[int, str]) -> None:
    assert scale_bar(mpp, width) == expected


def test_a_picture_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        drawn(tmp_path / "nowhere" / "a.preview.jpg", [], (30, 40))
    assert list(tmp_path.iterdir()) == []
