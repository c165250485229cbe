"""Where a slide is looked at for its stain and threshold: all over the tissue, whatever the mask's grid."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from wsiseg.network.appearance import StainScale
from wsiseg.slides import open_slide
from wsiseg.slides.sampling import sample_boxes, sample_tissue
from wsiseg.slides.tissue import Tissue
from wsiseg.slides.view import SlideView

WIDTH, HEIGHT = 3000, 2000
LEFT, RIGHT = (150, 60, 160), (240, 130, 200)


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> SlideView:
    """A picture of two halves of different stain."""
    pixels = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, : WIDTH // 2], pixels[:, WIDTH // 2 :] = LEFT, RIGHT
    path = tmp_path_factory.mktemp("halves") / "halves.png"
    Image.fromarray(pixels).save(path)
    return SlideView(open_slide(path), 0.25, 0.25)


def everywhere(scale_l0: float) -> Tissue:
    """Tissue all over the slide, on a grid of this scale."""
    return Tissue(np.ones((-(-HEIGHT // int(scale_l0)), -(-WIDTH // int(scale_l0))), bool), scale_l0)


@pytest.mark.parametrize("scale_l0", [4.0, 32.0, 700.0, 3000.0])
def test_both_halves_are_seen_whatever_the_grid_of_the_mask(view: SlideView, scale_l0: float) -> None:
    pixels = sample_tissue(view, everywhere(scale_l0))
    assert (pixels == LEFT).all(1).mean() == pytest.approx(0.5, abs=0.02)
    scale = StainScale.of(pixels)
    both = StainScale.of(np.array([LEFT, RIGHT] * 1000, np.uint8))
    assert scale.mean == pytest.approx(both.mean, abs=0.02)
    assert scale.sd == pytest.approx(both.sd, abs=0.02)


def test_the_grid_of_the_mask_plays_no_part(view: SlideView) -> None:
    assert sample_boxes(view, everywhere(3000.0), 6, 256) == sample_boxes(view, everywhere(8.0), 6, 256)


def test_six_windows_leave_no_part_of_the_tissue_out(view: SlideView) -> None:
    boxes = sample_boxes(view, everywhere(3000.0), 6, 256)
    assert all((box.width, box.height) == (256, 256) for box in boxes)
    middles = np.array([(box.x0 + 128, box.y0 + 128) for box in boxes])
    points = np.stack(np.meshgrid(np.arange(0, WIDTH, 50), np.arange(0, HEIGHT, 50)), -1).reshape(-1, 1, 2)
    away = np.hypot(*np.moveaxis(points - middles, -1, 0))
    # Six squares of 1000 px would cover the slide; a corner of one lies 707 px from its middle.
    assert away.min(1).max() < 950
    assert np.bincount(away.argmin(1)).min() > 0.7 * len(points) / 6


def test_each_island_has_windows_as_its_area(view: SlideView) -> None:
    mask = np.zeros((20, 30), bool)
    mask[2:18, 2:8] = True
    mask[8:10, 20:28] = True
    boxes = sample_boxes(view, Tissue(mask, 100.0), 14, 128)
    assert sum(box.x0 > WIDTH / 2 for box in boxes) == 2
    assert all(middle_on(mask, (b.x0 + b.x1) // 2, (b.y0 + b.y1) // 2) for b in boxes)


def test_a_speck_is_found_and_bare_glass_has_none(view: SlideView) -> None:
    mask = np.zeros((HEIGHT // 4, WIDTH // 4), bool)
    assert sample_boxes(view, Tissue(mask, 4.0), 6, 256) == []
    mask[100, 200] = True
    (box,) = sample_boxes(view, Tissue(mask, 4.0), 6, 256)
    assert box.x0 <= 802 < box.x1
    assert box.y0 <= 402 < box.y1


def middle_on(mask: NDArray[np.bool_], x: int, y: int) -> bool:
    return bool(mask[y // 100, x // 100])
