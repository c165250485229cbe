"""What lies under the overlays, against plain numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from viewed_store import HEIGHT_L0, WIDTH_L0, confidence, picture

from wsiseg.slides import open_slide
from wsiseg.slides.facts import Facts
from wsiseg.slides.resolution import Statement
from wsiseg.slides.slide import Slide
from wsiseg.slides.stain import haematoxylin_density
from wsiseg.tiles import Box
from wsiseg.viewer import backdrop
from wsiseg.viewer.backdrop import SlideBackdrop, StainBackdrop, haematoxylin_colours, resampled
from wsiseg.viewer.viewed import open_viewed


def block_means(rgb: np.ndarray, side: int) -> np.ndarray:
    """Means of side x side pixels; sizes must fit."""
    rows, cols = (length // side for length in rgb.shape[:2])
    return rgb[: rows * side, : cols * side].reshape(rows, side, cols, side, -1).mean(axis=(1, 3))


@pytest.fixture(scope="module")
def slide(viewed_store: Path) -> SlideBackdrop:
    return SlideBackdrop(open_slide(viewed_store.with_name("slide.png")))


def test_level_0_is_the_slide_itself(slide: SlideBackdrop) -> None:
    box = Box(90, 50, 160, 120)
    assert np.array_equal(slide.read(0, box), picture()[50:120, 90:160])
    over_the_edge = slide.read(0, Box(WIDTH_L0 - 2, HEIGHT_L0 - 1, WIDTH_L0 + 1, HEIGHT_L0 + 1))
    assert np.array_equal(over_the_edge[0, :2], picture()[-1, -2:])
    assert (over_the_edge[1] == 255).all()
    assert (over_the_edge[:, 2] == 255).all()


@pytest.mark.parametrize("level", [1, 2, 3])
def test_coarser_levels_are_means_in_the_right_place(slide: SlideBackdrop, level: int) -> None:
    expected = block_means(picture().astype(float), 2**level)
    rows, cols = expected.shape[:2]
    found = slide.read(level, Box(0, 0, cols, rows))
    assert np.abs(found - expected).max() <= 1
    # a window is what the whole has there
    window = Box(cols // 4, rows // 3, cols // 2, rows // 2)
    assert np.array_equal(slide.read(level, window), found[window.slices_in(Box(0, 0, 0, 0))])


def test_what_is_far_coarser_than_the_slide_comes_from_one_overview(
    slide: SlideBackdrop, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    original = backdrop.read_overview
    monkeypatch.setattr(backdrop, "read_overview", lambda *a: reads.append(a) or original(*a))
    expected = block_means(picture().astype(float), 16)
    for _ in range(2):
        found = slide.read(4, Box(0, 0, expected.shape[1], expected.shape[0]))
    assert len(reads) == 1
    assert np.abs(found - expected)[..., 0].mean() < 2


def test_colours_of_haematoxylin_are_the_inverse_of_its_density() -> None:
    density = np.arange(0, 200, dtype=np.uint8)[None]
    colours = haematoxylin_colours(density)
    assert (colours[0, 0] == 255).all()
    found = haematoxylin_density(colours).astype(int)
    # a dark red is a few bytes: it carries fewer levels than there are densities
    assert np.abs(found - density)[0, :140].max() <= 4


@pytest.mark.parametrize("level", [0, 1, 2, 3, 5])
def test_without_the_slide_there_is_its_stain(viewed_store: Path, level: int) -> None:
    stain = StainBackdrop(open_viewed(viewed_store).store)
    assert (stain.width_l0, stain.height_l0) == (WIDTH_L0, HEIGHT_L0)
    side = 2**level
    found = stain.read(level, Box(0, 0, WIDTH_L0 // side, HEIGHT_L0 // side))
    darkest = np.unravel_index(found[..., 0].argmin(), found.shape[:2])
    x_l0, y_l0 = (darkest[1] + 0.5) * side, (darkest[0] + 0.5) * side
    # the nucleus of highest confidence, which is where the stain is highest: 100..140, 60..100
    assert 100 - side < x_l0 < 140 + side
    assert 60 - side < y_l0 < 100 + side
    if level == 2:
        assert np.array_equal(found, haematoxylin_colours(confidence()[::2, ::2] // 2)[:225, :300])


def test_resampling_by_one_changes_nothing() -> None:
    rgb = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    found = resampled(lambda part: rgb[part.slices_in(Box(0, 0, 0, 0))], rgb.shape, 1.0, Box(2, 1, 9, 5))
    assert np.array_equal(found[:, :5], rgb[1:5, 2:7])
    assert (found[:, 5:] == 255).all()


class TwoLevels(Slide):
    """A dark rectangle on levels of 1 and 2.5."""

    reader = "memory"

    def _open(self) -> Any:
        levels = []
        for scale in (1, 2.5):
            pixels = np.full((round(1000 / scale), round(1500 / scale), 3), 200, np.uint8)
            pixels[round(400 / scale) : round(480 / scale), round(800 / scale) : round(960 / scale)] = 40
            levels.append(pixels)
        return levels

    def _describe(self, handle: Any) -> Facts:
        return Facts(((1500, 1000), (600, 400)), (Statement("its maker", 0.25, 0.25),))

    def _read(self, box: Box, level: int) -> NDArray[np.uint8]:
        return self._current()[level][box.slices_in(Box(0, 0, 0, 0))]


def test_levels_that_are_no_whole_factor_fit_too() -> None:
    found = SlideBackdrop(TwoLevels("memory")).read(2, Box(0, 0, 375, 250))[..., 0]
    dark_rows, dark_cols = np.nonzero(found < 120)
    assert (dark_rows.min(), dark_rows.max()) == (100, 119)
    assert (dark_cols.min(), dark_cols.max()) == (200, 239)
