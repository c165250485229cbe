"""Pictures stored rotated or mirrored (TIFF 6.0, tag 274; EXIF likewise), shown upright."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsiseg.tiles import Box

UPRIGHT = 1
# What is done to the stored picture, in this order: rows and columns swap, then columns or rows are reversed.
SWAPPED = frozenset((5, 6, 7, 8))
MIRRORED_X = frozenset((2, 3, 6, 7))
MIRRORED_Y = frozenset((3, 4, 7, 8))


def shown_size(stored: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return (width, height) as shown, of a picture stored with these."""
    width, height = stored
    return (height, width) if orientation in SWAPPED else (width, height)


def stored_box(box: Box, shown: tuple[int, int], orientation: int) -> Box:
    """Return where a box of the picture as shown lies in it as stored.

    Parameters
    ----------
    box : Box
        In pixels of the image as it is shown.
    shown : (int, int)
        (width, height) as shown.
    orientation : int
        1 to 8.
    """
    x0, y0, x1, y1 = box
    if orientation in MIRRORED_X:
        x0, x1 = shown[0] - x1, shown[0] - x0
    if orientation in MIRRORED_Y:
        y0, y1 = shown[1] - y1, shown[1] - y0
    return Box(y0, x0, y1, x1) if orientation in SWAPPED else Box(x0, y0, x1, y1)


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return stored pixels, (H, W, 3), as they are shown."""
    if orientation in SWAPPED:
        pixels = pixels.swapaxes(0, 1)
    if orientation in MIRRORED_X:
        pixels = pixels[:, ::-1]
    if orientation in MIRRORED_Y:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
