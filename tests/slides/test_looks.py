"""What is no stained tissue on glass is said in words; what is, is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wsiseg.slides import open_slide
from wsiseg.slides.looks import odd_looks
from wsiseg.slides.overview import read_overview

RNG = np.random.default_rng(0)
SHAPE = (60, 80)


def plain(colour: tuple[int, int, int], noise: float = 0.0) -> np.ndarray:
    pixels = np.full((*SHAPE, 3), colour, float) + RNG.normal(0, noise, (*SHAPE, 3))
    return pixels.clip(0, 255).round().astype(np.uint8)


def looks(pixels: np.ndarray, has_tissue: bool = False) -> str:
    return "; ".join(odd_looks(pixels, np.ones(pixels.shape[:2], bool), has_tissue))


@pytest.mark.parametrize("colour", [(0, 0, 0), (128, 128, 128), (255, 255, 255), (200, 150, 90)])
def test_one_colour_all_over(colour: tuple[int, int, int]) -> None:
    assert f"one colour all over {colour}" in looks(plain(colour))


def test_a_grey_image() -> None:
    grey = RNG.integers(60, 240, (*SHAPE, 1)).astype(np.uint8)
    assert "no colour" in looks(np.repeat(grey, 3, -1), has_tissue=True)


def test_fluorescence_and_inverted_images_are_dark() -> None:
    dapi = np.zeros((*SHAPE, 3), np.uint8)
    dapi[..., 2] = np.where(RNG.random(SHAPE) < 0.2, 220, 8)
    assert "dark" in looks(dapi, has_tissue=True)
    assert "dark" in looks(255 - plain((240, 238, 242), 6), has_tissue=True)


def test_coloured_glass_without_tissue() -> None:
    assert "does not look like glass" in looks(plain((190, 160, 90), 4))
    assert looks(plain((236, 232, 238), 4)) == ""
    assert looks(plain((205, 205, 208), 4)) == ""


def test_tissue_on_a_slide_of_which_most_was_not_scanned() -> None:
    pixels = np.zeros((*SHAPE, 3), np.uint8)
    pixels[:20, :20] = plain((240, 238, 242), 3)[:20, :20]
    pixels[5:15, 5:15] = plain((190, 120, 180), 20)[5:15, 5:15]
    assert looks(pixels, has_tissue=True) == ""


@pytest.mark.real_data
def test_real_slides_and_fields_look_as_they_should(shared_data: Path) -> None:
    names = ("slides/*.svs", "free/*", "monuseg/images/*", "consep/images/*", "ihc/images/*")
    for path in (p for name in names for p in sorted(shared_data.glob(name))[::3]):
        overview = read_overview(open_slide(path), 16)
        assert odd_looks(overview.rgb, overview.known, True) == (), path
