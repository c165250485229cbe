"""Generated glandular tissue: the same seed gives the same field, and labels lie where nuclei are seen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage as ndi

from wsiseg.network.appearance import HED_OPTICAL_DENSITY
from wsiseg.synthetic.glandular import draw_field
from wsiseg.synthetic.glandular.canvas import Canvas

SIDE = 300


@pytest.fixture(scope="module")
def fields() -> list[tuple[np.ndarray, np.ndarray]]:
    return [draw_field(SIDE, 0.3, seed) for seed in range(6)]


def test_same_seed_same_field_other_seed_other_field(fields) -> None:
    pixels, labels = draw_field(SIDE, 0.3, 1)
    assert (pixels == fields[1][0]).all()
    assert (labels == fields[1][1]).all()
    assert (pixels != fields[2][0]).any()


def test_shapes_and_types(fields) -> None:
    for pixels, labels in fields:
        assert pixels.shape == (SIDE, SIDE, 3)
        assert pixels.dtype == np.uint8
        assert labels.shape == (SIDE, SIDE)
        assert labels.dtype == np.int32


def test_nuclei_are_of_realistic_size_and_number(fields) -> None:
    counts, areas_um2 = [], []
    for _, labels in fields:
        inner = labels[20:-20, 20:-20]
        found, sizes = np.unique(inner[inner > 0], return_counts=True)
        counts.append(len(found))
        areas_um2.extend(sizes * 0.3**2)
    assert min(counts) > 0
    assert max(counts) > 60
    assert 15 < np.median(areas_um2) < 60


def test_nuclei_are_darker_in_haematoxylin_than_what_surrounds_them(fields) -> None:
    darker = 0
    for pixels, labels in fields:
        density = -np.log((pixels + 1.0) / 256) @ np.linalg.inv(HED_OPTICAL_DENSITY)
        near = ndi.binary_dilation(labels > 0, iterations=6) & ~ndi.binary_dilation(labels > 0, iterations=1)
        darker += density[labels > 0, 0].mean() > density[near, 0].mean() + 0.03
    assert darker == len(fields)


def test_nuclei_touch(fields) -> None:
    def pairs(labels: np.ndarray) -> int:
        beside = (labels[:, 1:] != labels[:, :-1]) & (labels[:, 1:] > 0) & (labels[:, :-1] > 0)
        return int(beside.sum())

    assert sum(pairs(labels) for _, labels in fields) > 100


def test_sizes_are_physical() -> None:
    def area_um2(side_px: int, mpp: float) -> float:
        canvas = Canvas(side_px, mpp, np.random.default_rng(3))
        centre = side_px / 2
        canvas.lay(centre, centre, (6.0, 4.0), 0.5, 0.7, 0.2)
        return float((canvas.labels > 0).sum() * mpp**2)

    assert area_um2(240, 0.125) == pytest.approx(np.pi * 24, rel=0.2)
    assert area_um2(60, 0.5) == pytest.approx(np.pi * 24, rel=0.2)


def test_what_lies_on_others_is_not_laid_or_shares_no_pixel() -> None:
    canvas = Canvas(120, 0.5, np.random.default_rng(0))
    canvas.lay(60, 60, (6.0, 5.0), 0.0, 0.7, 0.0)
    canvas.lay(61, 60, (6.0, 5.0), 0.0, 0.7, 0.0)
    assert canvas.count == 1
    canvas.lay(80, 60, (6.0, 5.0), 0.0, 0.7, 0.0)
    assert canvas.count == 2
