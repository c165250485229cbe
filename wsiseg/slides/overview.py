"""A slide at low resolution, averaged block by block so that one without a pyramid costs no memory either."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import SlideError
from wsiseg.machine.cores import available_cores
from wsiseg.slides.slide import Slide
from wsiseg.tiles import Box, Grid

BLOCK_PX = 2048
SMALLEST_BLOCK_PX = 256
MAX_FAILURES = 100
MAX_OVERVIEW_PX = 2**26


@dataclass(frozen=True)
class Overview:
    """A small picture of a whole slide.

    Parameters
    ----------
    rgb : ndarray of uint8, (rows, cols, 3)
        Pixels.
    known : ndarray of bool, (rows, cols)
        False where the slide could not be decoded.
    scale_l0 : float
        Level-0 pixels per pixel of the picture.
    """

    rgb: NDArray[np.uint8]
    known: NDArray[np.bool_]
    scale_l0: float


def read_overview(slide: Slide, scale_l0: float) -> Overview:
    """Average a slide down to about `scale_l0` level-0 pixels per pixel (never coarser).

    Parameters
    ----------
    slide : Slide
        The open slide.
    scale_l0 : float
        Level-0 pixels per pixel of the picture.

    Returns
    -------
    Overview

    Raises
    ------
    SlideError
        When more than 100 places cannot be decoded, or the picture would be too large.
    """
    downsamples = slide.level_downsamples
    level = max(
        (k for k, d in enumerate(downsamples) if d <= scale_l0 * 1.001),
        key=downsamples.__getitem__,
        default=0,
    )
    step = max(1, int(scale_l0 / downsamples[level] + 1e-3))
    width, height = slide.level_dimensions[level]
    rows, cols = -(-height // step), -(-width // step)
    if rows * cols > MAX_OVERVIEW_PX:
        raise SlideError(slide.path, f"looking for tissue at {scale_l0:g} level-0 pixels per pixel: too fine")
    rgb = np.full((rows, cols, 3), 255, np.uint8)
    known = np.zeros((rows, cols), np.bool_)
    failures: list[SlideError] = []

    def fill(box: Box) -> None:
        cells = Box(box.x0 // step, box.y0 // step, -(-box.x1 // step), -(-box.y1 // step))
        place = cells.slices_in(Box(0, 0, cols, rows))
        try:
            pixels = slide.read_region(box.x0, box.y0, level, box.width, box.height)
        except SlideError as error:
            smaller = max(step, box.width // 2 // step * step)
            if box.width > max(step, SMALLEST_BLOCK_PX) and smaller < box.width:
                for tile in Grid(box.width, box.height, smaller):
                    fill(Box(*(a + b for a, b in zip(tile.core, (box.x0, box.y0) * 2, strict=True))))
                return
            failures.append(error)
            if len(failures) > MAX_FAILURES:
                raise SlideError(
                    slide.path, f"over {MAX_FAILURES} places cannot be decoded; {error.cause}"
                ) from error
            return
        rgb[place] = block_mean(pixels, step)
        known[place] = True

    blocks = [tile.core for tile in Grid(width, height, max(1, BLOCK_PX // step) * step)]
    if len(blocks) == 1:
        fill(blocks[0])
    else:
        with ThreadPoolExecutor(min(4, available_cores())) as pool:
            try:
                list(pool.map(fill, blocks))
            except SlideError:
                pool.shutdown(cancel_futures=True)
                raise
    return Overview(rgb, known, downsamples[level] * step)


def read_thumbnail(slide: Slide, longest_px: int) -> Overview:
    """Return a picture of a slide whose longer side is between half and twice `longest_px`.

    It is made from the coarsest level that gives so many pixels, so that it costs next to nothing where there
    are levels; smaller slides come as they are.

    Raises
    ------
    SlideError
        If the slide cannot be read at all.
    """
    enough = [
        downsample
        for downsample, size in zip(slide.level_downsamples, slide.level_dimensions, strict=True)
        if max(size) >= longest_px / 2
    ]
    return read_overview(slide, max(1.0, max(slide.dimensions) / longest_px, *enough))


def block_mean(pixels: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Return the mean of each step x step block; blocks cut off at the edges repeat their last pixel."""
    if step == 1:
        return pixels
    import cv2

    height, width = pixels.shape[:2]
    pad_y, pad_x = -height % step, -width % step
    if pad_y or pad_x:
        pixels = np.asarray(cv2.copyMakeBorder(pixels, 0, pad_y, 0, pad_x, cv2.BORDER_REPLICATE), np.uint8)
    size = (pixels.shape[1] // step, pixels.shape[0] // step)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
