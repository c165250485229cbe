"""The frame: a slide seen at the model's resolution, as if it were one large image of that resolution."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import SlideError
from wsiseg.slides.resample import Taps, resample, taps
from wsiseg.slides.resolution import Statement
from wsiseg.slides.slide import Slide
from wsiseg.slides.unscanned import without_fill
from wsiseg.tiles import Box

SAME_MPP = 0.05
LEAST_MPP_RATIO = 1 / 64
MAX_READ_PX = 2**25


class SlideView:
    """A slide at one resolution.

    A level within 5 % of the asked resolution is used as it is. Otherwise the next finer level (level 0 when
    the slide is coarser) is resampled; every pixel depends on its place in the frame only, so that a window
    holds bitwise the pixels that the whole frame has there. What was not scanned is glass.

    Parameters
    ----------
    slide : Slide
        The open slide.
    mpp : float
        Micrometres per pixel asked for.
    slide_mpp : float or Statement, optional
        Micrometres per level-0 pixel as the user says: for a slide that does not say it.
    forced : bool
        Whether the user's word stands even where the slide says something else.

    Attributes
    ----------
    resolution : Resolution
        How it was decided what level 0 measures.
    warnings : tuple of str
        What is odd about the slide, its resolution included.
    width, height : int
        Size of the frame in its own pixels.
    mpp : float
        Micrometres per pixel that the frame has.
    scale_l0 : float
        Level-0 pixels per frame pixel, in x and in y; frame pixel corner (x, y) is level-0 (x, y) * scale_l0.
    level : int
        The pyramid level that is read.

    Raises
    ------
    SlideError
        When neither the slide nor the caller says what level 0 measures.
    """

    def __init__(
        self, slide: Slide, mpp: float, slide_mpp: float | Statement | None = None, forced: bool = False
    ) -> None:
        if not (math.isfinite(mpp) and mpp > 0):
            raise ValueError(f"mpp must be a positive number, not {mpp}")
        if isinstance(slide_mpp, (int, float)):
            slide_mpp = Statement("--slide-mpp", slide_mpp, slide_mpp)
        if slide_mpp is not None and not (math.isfinite(slide_mpp.mpp_x) and slide_mpp.mpp_x > 0):
            raise ValueError(f"slide_mpp must be a positive number, not {slide_mpp.mpp_x}")
        self.resolution = slide.resolution(slide_mpp, forced)
        self.warnings = (*slide.facts.warnings, *self.resolution.warnings)
        mpp_l0 = self.resolution.mpp
        if mpp_l0 is None:
            reason = f" ({'; '.join(self.warnings)})" if self.warnings else ""
            raise SlideError(
                slide.path,
                f"does not say how many micrometres a pixel measures{reason}; give "
                f"--slide-mpp{self.resolution.hint}, or a CSV list with columns slide,mpp",
            )
        self.slide = slide
        self.slide_mpp = mpp_l0
        downsamples = slide.level_downsamples
        off = [abs(d * mpp_l0 / mpp - 1) for d in downsamples]
        self.level = int(np.argmin(off))
        self._factor = 1.0
        if off[self.level] > SAME_MPP:
            finer = [k for k, d in enumerate(downsamples) if d * mpp_l0 < mpp]
            self.level = max(finer, key=lambda k: downsamples[k], default=0)
            self._factor = mpp / (mpp_l0 * downsamples[self.level])
        if self._factor < LEAST_MPP_RATIO:
            raise SlideError(
                slide.path,
                f"its pixels ({mpp_l0:g} um) are far too coarse for {mpp:g} um per pixel; check --slide-mpp",
            )
        self.scale_l0 = downsamples[self.level] * self._factor
        self.mpp = mpp if self._factor != 1.0 else mpp_l0 * self.scale_l0
        self._level_size = slide.level_dimensions[self.level]
        self.width, self.height = (max(1, round(side / self._factor)) for side in self._level_size)

    def __repr__(self) -> str:
        return (
            f"SlideView({self.slide!r}, mpp={self.mpp:g}: {self.width} x {self.height}, level {self.level})"
        )

    @property
    def frame(self) -> Box:
        """The whole frame."""
        return Box(0, 0, self.width, self.height)

    def read(self, box: Box) -> NDArray[np.uint8]:
        """Read a window of the frame.

        Parameters
        ----------
        box : Box
            In frame pixels; what lies outside the frame, or is filled in black, is white.

        Returns
        -------
        ndarray of uint8, (box.height, box.width, 3)

        Raises
        ------
        SlideError
            When a part of the slide that is needed cannot be decoded.
        """
        inside = box.clipped(self.frame)
        if inside == box and not box.is_empty:
            return self._read_inside(box)
        out = np.full((max(0, box.height), max(0, box.width), 3), 255, np.uint8)
        if not inside.is_empty:
            out[inside.slices_in(box)] = self._read_inside(inside)
        return out

    def _read_inside(self, box: Box) -> NDArray[np.uint8]:
        if self._factor == 1.0:
            return self._read_level(box)
        cols = taps(box.x0, box.x1, self._factor, self._level_size[0])
        rows = taps(box.y0, box.y1, self._factor, self._level_size[1])
        x0, x1 = int(cols.start[0]), int(cols.start[-1]) + cols.weight.shape[1]
        y0, y1 = int(rows.start[0]), int(rows.start[-1]) + rows.weight.shape[1]
        if (x1 - x0) * (y1 - y0) > MAX_READ_PX and box.width * box.height > 1:
            axis = 1 if box.width > box.height else 0
            return np.concatenate([self._read_inside(half) for half in halves(box)], axis=axis)
        pixels = self._read_level(Box(x0, y0, x1, y1))
        return resample(pixels, Taps(rows.start - y0, rows.weight), Taps(cols.start - x0, cols.weight))

    def _read_level(self, box: Box) -> NDArray[np.uint8]:
        def read(part: Box) -> NDArray[np.uint8]:
            return self.slide.read_region(part.x0, part.y0, self.level, part.width, part.height)

        return without_fill(read, box, Box(0, 0, *self._level_size))


def halves(box: Box) -> tuple[Box, Box]:
    """Return the two halves of a box, split across its longer side."""
    if box.width > box.height:
        middle = (box.x0 + box.x1) // 2
        return box._replace(x1=middle), box._replace(x0=middle)
    middle = (box.y0 + box.y1) // 2
    return box._replace(y1=middle), box._replace(y0=middle)
