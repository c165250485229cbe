"""What was not scanned is glass, and nothing else is; a pixel is the same whatever window it is read with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_slides import picture

from wsiseg.slides.unscanned import GLASS, without_fill
from wsiseg.tiles import Box

FRAME = Box(0, 0, 160, 120)


def part(pixels: np.ndarray, box: Box) -> np.ndarray:
    return without_fill(lambda b: pixels[b.y0 : b.y1, b.x0 : b.x1].copy(), box, FRAME)


@pytest.fixture(scope="module")
def scan() -> np.ndarray:
    """Tissue with a corner that was not scanned, and small black things in the tissue."""
    pixels = picture(FRAME.height, FRAME.width)
    pixels[60:, 90:] = 4
    pixels[58:60, 88:] = 30
    pixels[20:30, 20:30] = 0
    pixels[40:43, 10:60] = 0
    return pixels


def test_a_fill_and_its_blurred_edge_are_glass(scan: np.ndarray) -> None:
    seen = part(scan, FRAME)
    assert (seen[60:, 90:] == GLASS).all()
    assert (seen[58:60, 90:] == GLASS).all()


def test_small_black_things_and_tissue_stay(scan: np.ndarray) -> None:
    seen = part(scan, FRAME)
    assert np.array_equal(seen[:57], scan[:57])
    assert np.array_equal(seen[:, :87], scan[:, :87])


@given(x=st.integers(0, 130), y=st.integers(0, 90), side=st.integers(1, 30))
def test_the_window_plays_no_part(x: int, y: int, side: int) -> None:
    pixels = picture(FRAME.height, FRAME.width)
    pixels[60:, 90:] = 4
    pixels[50:54, 80:] = 8
    pixels[10:40, 100:118] = 0
    box = Box(x, y, x + side, y + side)
    assert np.array_equal(part(pixels, box), part(pixels, FRAME)[y : y + side, x : x + side])


def test_a_picture_without_black_is_read_once(scan: np.ndarray) -> None:
    boxes = []

    def read(box: Box) -> np.ndarray:
        boxes.append(box)
        return scan[box.y0 : box.y1, box.x0 : box.x1]

    without_fill(read, Box(0, 0, 60, 15), FRAME)
    assert boxes == [Box(0, 0, 60, 15)]
