"""Pixels in memory as a slide of one level."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import UsageError
from wsiseg.slides.facts import Facts
from wsiseg.slides.image_reader import to_eight_bit
from wsiseg.slides.slide import Slide
from wsiseg.tiles import Box


class ArraySlide(Slide):
    """An array that is read like a slide; it says no resolution.

    Parameters
    ----------
    pixels : ndarray of uint8 or uint16, (H, W), (H, W, 3) or (H, W, 4)
        Grey, RGB or RGBA; 16 bits are scaled to 8, what is transparent is white.

    Raises
    ------
    UsageError
        For arrays of other shapes or types: floats have no agreed range.
    """

    reader = "array"

    def __init__(self, pixels: NDArray[Any]) -> None:
        super().__init__("array")
        shape, dtype = pixels.shape, pixels.dtype
        is_image = pixels.ndim == 2 or (pixels.ndim == 3 and shape[2] in (3, 4))
        if not is_image or 0 in shape or dtype not in (np.uint8, np.uint16):
            raise UsageError(
                f"the image is an array of {dtype} of shape {shape}; "
                "give uint8 of (rows, columns, 3), red first"
            )
        self.pixels = np.ascontiguousarray(to_eight_bit(pixels))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.pixels,)

    def _open(self) -> NDArray[np.uint8]:
        return self.pixels

    def _describe(self, handle: Any) -> Facts:
        height, width = self.pixels.shape[:2]
        return Facts(((width, height),))

    def _read(self, box: Box, level: int) -> NDArray[np.uint8]:
        return self.pixels[box.slices_in(Box(0, 0, 0, 0))].copy()
