"""What was not scanned: scanners fill it with black, which is no tissue and is seen as glass."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from wsiseg.tiles import Box

# with which scanners fill what they did not scan; averages at its edge are a little lighter
UNSCANNED = 10
# A fill is a whole block of black; nuclei and pigment are narrower, or not as black.
FILL_PX = 17
# Within so much of a fill, what is so dark is its edge, blurred by JPEG or by resampling.
EDGE_PX, EDGE_VALUE = 8, 50
REACH_PX = FILL_PX + EDGE_PX
GLASS = 255


def unscanned(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where a picture is black, as scanners fill what they did not scan."""
    return np.asarray(rgb.max(axis=-1) <= UNSCANNED, np.bool_)


def without_fill(read: Callable[[Box], NDArray[np.uint8]], box: Box, frame: Box) -> NDArray[np.uint8]:
    """Read a box of a picture, with glass where the scanner has filled in black.

    A pixel is the same whatever box it is read with.

    Parameters
    ----------
    read : callable
        Returns the pixels of a box, uint8 (height, width, 3).
    box : Box
        What is read, inside the frame.
    frame : Box
        The whole picture; beyond it is as black as at its edge.
    """
    pixels = read(box)
    if not cv2.inRange(pixels, (0, 0, 0), (UNSCANNED,) * 3).any():
        return pixels
    around = box.grown(2 * REACH_PX).clipped(frame)
    wide = pixels if around == box else read(around)
    fill = _fill(wide)[box.slices_in(around)]
    if fill.any():
        pixels = pixels.copy()
        pixels[fill] = GLASS
    return pixels


def _fill(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where black fills whole blocks, and its blurred edge."""
    block, edge = (np.ones((side, side), np.uint8) for side in (FILL_PX, 2 * EDGE_PX + 1))
    black = cv2.inRange(rgb, (0, 0, 0), (UNSCANNED,) * 3)
    filled = cv2.morphologyEx(black, cv2.MORPH_OPEN, block)
    dark = cv2.inRange(rgb, (0, 0, 0), (EDGE_VALUE,) * 3)
    return np.asarray((filled > 0) | ((cv2.dilate(filled, edge) > 0) & (dark > 0)), np.bool_)
