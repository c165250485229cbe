"""Confidence fields for the tests of objects, and how a window of one is read."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from wsiseg.objects.segment import Read
from wsiseg.tiles import Box


def picture(text: str) -> NDArray[np.uint8]:
    """Return 1 where a drawing has a #, 0 where it has a dot."""
    return np.array([[sign == "#" for sign in line.strip()] for line in text.strip().splitlines()], np.uint8)


def reader(array: NDArray[np.uint8]) -> Read:
    """Return a reader of boxes that refuses to read outside of the frame."""
    frame = Box(0, 0, array.shape[1], array.shape[0])

    def read(box: Box) -> NDArray[np.uint8]:
        assert box.clipped(frame) == box
        return array[box.y0 : box.y1, box.x0 : box.x1]

    return read


def blobs(height: int, width: int, count: int, longest: int, seed: int) -> NDArray[np.uint8]:
    """Return filled ellipses at random places: touching, overlapping and cut by the frame."""
    rng = np.random.default_rng(seed)
    field = np.zeros((height, width), np.uint8)
    for _ in range(count):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(2, longest)), int(rng.integers(2, 14)))
        cv2.ellipse(field, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    return field


def noise(height: int, width: int, sigma: float, share: float, seed: int) -> NDArray[np.uint8]:
    """Return smoothed noise of which about `share` lies above one half: masks that percolate."""
    rng = np.random.default_rng(seed)
    field = cv2.GaussianBlur(rng.random((height, width)), (0, 0), sigma)
    return np.clip((field - np.quantile(field, 1 - share)) * 2000 + 128, 0, 255).astype(np.uint8)


@st.composite
def fields(draw: st.DrawFn, most: int = 260) -> NDArray[np.uint8]:
    """Draw a confidence field."""
    height, width = draw(st.integers(20, most)), draw(st.integers(20, most))
    seed = draw(st.integers(0, 2**16))
    kind = draw(st.sampled_from(["blobs", "giants", "noise", "holes", "all", "none"]))
    if kind == "blobs":
        return blobs(height, width, draw(st.integers(1, 60)), 20, seed)
    if kind == "giants":
        return blobs(height, width, 6, 120, seed)
    if kind == "noise":
        return noise(height, width, draw(st.sampled_from([1.0, 2.5, 6.0])), draw(st.floats(0.2, 0.8)), seed)
    if kind == "holes":
        return 255 - blobs(height, width, draw(st.integers(1, 60)), 20, seed)
    return np.full((height, width), 255 if kind == "all" else 0, np.uint8)
