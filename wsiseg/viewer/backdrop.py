"""The picture under the overlays: the slide or, without its file, the stain that `predict` kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from wsiseg.slides.overview import block_mean, read_overview
from wsiseg.slides.resample import Taps, resample, taps
from wsiseg.slides.stain import DENSITY_AT_255
from wsiseg.store.blocks import STAIN_DOWNSAMPLE
from wsiseg.tiles import Box, Grid

if TYPE_CHECKING:
    from wsiseg.slides.slide import Slide
    from wsiseg.store.slide_store import SlideStore

Rgb = NDArray[np.uint8]

# Pixels per tile pixel up to which a tile is read directly; coarser ones come from an overview.
MOST_REDUCTION = 8
SCAN_PX = 2048
# Optical density of haematoxylin in red, green and blue (Ruifrok and Johnston, 2001), as in `rgb2hed`.
HAEMATOXYLIN_RGB = (0.65, 0.70, 0.29)
ORIGIN = Box(0, 0, 0, 0)


class Backdrop(Protocol):
    """Pictures of the whole slide at resolutions halved from level 0 on."""

    width_l0: int
    height_l0: int

    def read(self, level: int, box: Box) -> Rgb:
        """Return RGB pixels (box.height, box.width, 3) of a box in pixels of 2^level level-0 pixels."""


class SlideBackdrop:
    """The slide itself, through whichever reader opened it.

    Parameters
    ----------
    slide : Slide
        The open slide.
    """

    def __init__(self, slide: Slide) -> None:
        self.slide = slide
        self.width_l0, self.height_l0 = slide.dimensions
        self._lock = threading.Lock()

    def read(self, level: int, box: Box) -> Rgb:
        """Return the pixels of a box; where a pyramid level fits, each is the mean of those it covers.

        Raises
        ------
        SlideError
            When a part of it cannot be decoded.
        """
        downsamples = self.slide.level_downsamples
        if 2**level > MOST_REDUCTION * max(downsamples):
            with self._lock:
                picture, scale_l0 = self._overview
            factor = 2**level / scale_l0
            return resampled(lambda part: picture[part.slices_in(ORIGIN)], picture.shape, factor, box)
        fine = [k for k, downsample in enumerate(downsamples) if downsample <= 2**level]
        finest = max(fine, key=downsamples.__getitem__)
        factor = 2**level / downsamples[finest]
        if factor.is_integer():
            # no filter that reaches into neighbours, which would have to be decoded too
            step = int(factor)
            return block_mean(self._part(finest, Box(*(side * step for side in box))), step)
        width, height = self.slide.level_dimensions[finest]
        return resampled(lambda part: self._part(finest, part), (height, width), factor, box)

    def _part(self, slide_level: int, box: Box) -> Rgb:
        return self.slide.read_region(box.x0, box.y0, slide_level, box.width, box.height)

    @cached_property
    def _overview(self) -> tuple[Rgb, float]:
        overview = read_overview(self.slide, MOST_REDUCTION * max(self.slide.level_downsamples))
        return overview.rgb, overview.scale_l0


class StainBackdrop:
    """The haematoxylin in a store, in its own colour on white.

    Parameters
    ----------
    store : SlideStore
        The slide's store.
    """

    def __init__(self, store: SlideStore) -> None:
        frame = store.frame
        self.width_l0, self.height_l0 = (round(side * frame.scale_l0) for side in (frame.width, frame.height))
        self._stain = store.haematoxylin
        self._scale_l0 = STAIN_DOWNSAMPLE * frame.scale_l0
        self._lock = threading.Lock()

    def read(self, level: int, box: Box) -> Rgb:
        """Return the pixels of a box."""
        factor = 2**level / self._scale_l0
        if factor > MOST_REDUCTION:
            with self._lock:
                overview = self._overview
            return resampled(
                lambda part: haematoxylin_colours(overview[part.slices_in(ORIGIN)]),
                overview.shape,
                factor / MOST_REDUCTION,
                box,
            )
        return resampled(
            lambda part: haematoxylin_colours(self._stain.read(part)),
            self._stain.shape,
            factor,
            box,
        )

    @cached_property
    def _overview(self) -> NDArray[np.uint8]:
        height, width = self._stain.shape
        rows, cols = -(-height // MOST_REDUCTION), -(-width // MOST_REDUCTION)
        overview = np.zeros((rows, cols), np.uint8)
        for tile in Grid(width, height, SCAN_PX):
            part = block_mean(self._stain.read(tile.core), MOST_REDUCTION)
            y, x = tile.core.y0 // MOST_REDUCTION, tile.core.x0 // MOST_REDUCTION
            overview[y : y + part.shape[0], x : x + part.shape[1]] = part
        return overview


def resampled(read: Callable[[Box], Rgb], shape: tuple[int, ...], factor: float, box: Box) -> Rgb:
    """Return a box of a picture whose pixels are `factor` pixels of the given one; white outside.

    Parameters
    ----------
    read : callable
        Serves RGB pixels of a box of the picture.
    shape : tuple of int
        (rows, cols, ...) of the picture.
    factor : float
        Pixels of the picture per pixel of the box.
    box : Box
        The part to return.
    """
    height, width = shape[:2]
    frame = Box(0, 0, *(max(1, round(side / factor)) for side in (width, height)))
    inside = box.clipped(frame)
    out = np.full((box.height, box.width, 3), 255, np.uint8)
    if inside.is_empty:
        return out
    cols = taps(inside.x0, inside.x1, factor, width)
    rows = taps(inside.y0, inside.y1, factor, height)
    x0, y0 = int(cols.start[0]), int(rows.start[0])
    window = Box(
        x0, y0, int(cols.start[-1]) + cols.weight.shape[1], int(rows.start[-1]) + rows.weight.shape[1]
    )
    out[inside.slices_in(box)] = resample(
        read(window), Taps(rows.start - y0, rows.weight), Taps(cols.start - x0, cols.weight)
    )
    return out


def haematoxylin_colours(density: NDArray[np.uint8]) -> Rgb:
    """Return the colour that light has behind so much haematoxylin.

    Parameters
    ----------
    density : ndarray of uint8, (H, W)
        As `haematoxylin_density` gives it.

    Returns
    -------
    ndarray of uint8, (H, W, 3)
        255 * 10^(-6 * density * HAEMATOXYLIN_RGB), the inverse of `rgb2hed` for this stain alone.
    """
    amount = np.arange(256)[:, None] / 255 * DENSITY_AT_255
    table = np.rint(255 * 10 ** (-6 * amount * np.array(HAEMATOXYLIN_RGB))).astype(np.uint8)
    colours: Rgb = table[density]
    return colours
