"""Separable antialiasing resampling: a pixel depends on its place only, not on the window it is read in."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

SUPPORT = 2.0
LANES = 8


class Taps(NamedTuple):
    """For output pixels i0 .. i0+n along one axis: the first input pixel of each, and its weights.

    `start` is int64 (n,), `weight` float32 (n, taps); both depend on the absolute pixel only.
    """

    start: NDArray[np.int64]
    weight: NDArray[np.float32]


def taps(first: int, last: int, scale: float, size: int) -> Taps:
    """Return the filter of output pixels first..last of a frame whose pixels are `scale` input pixels wide.

    Output pixel i is centred on input coordinate (i + 0.5) * scale (pixel corners at integers). The filter is
    Keys' cubic (a = -0.5), widened by `scale` when that is more than 1 so that it does not alias. Weights of
    input pixels outside 0..size are dropped and the rest rescaled to a sum of 1.

    Parameters
    ----------
    first, last : int
        Half-open range of output pixels.
    scale : float
        Input pixels per output pixel.
    size : int
        Input pixels along the axis.

    Returns
    -------
    Taps
    """
    stretch = max(scale, 1.0)
    reach = SUPPORT * stretch
    count = min(int(np.ceil(2 * reach)) + 1, size)
    centre = (np.arange(first, last, dtype=np.float64) + 0.5) * scale
    start = np.clip(np.floor(centre - reach).astype(np.int64), 0, size - count)
    position = start[:, None] + np.arange(count)
    weight = keys_cubic((position + 0.5 - centre[:, None]) / stretch)
    total = weight.sum(axis=1, keepdims=True)
    return Taps(start, (weight / total).astype(np.float32))


def keys_cubic(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Keys' cubic convolution kernel with a = -0.5 (IEEE TASSP 29, 1981, eq. 15)."""
    t = np.abs(t)
    inner = (1.5 * t - 2.5) * t * t + 1
    outer = ((-0.5 * t + 2.5) * t - 4) * t + 2
    return np.where(t <= 1, inner, np.where(t < 2, outer, 0.0))


@numba.njit(nogil=True, cache=True)
def _resample(
    pixels: NDArray[np.uint8],
    row_start: NDArray[np.int64],
    row_weight: NDArray[np.float32],
    col_start: NDArray[np.int64],
    col_weight: NDArray[np.float32],
    out: NDArray[np.uint8],
) -> None:
    # rows are mixed first: that loop runs over contiguous memory, and later loops have fewer rows to do; then
    # columns, of several rows side by side, so that each step is one instruction for all of them
    width = pixels.shape[1]
    line = np.empty(width, np.float32)
    block = np.zeros((width, LANES), np.float32)
    total = np.empty((3, LANES), np.float32)
    zero, half, top = np.float32(0), np.float32(0.5), np.float32(255)
    for first in range(0, row_start.size, LANES):
        rows = min(LANES, row_start.size - first)
        for r in range(rows):
            line[:] = zero
            for k in range(row_weight.shape[1]):
                w = row_weight[first + r, k]
                if w != zero:
                    source = pixels[row_start[first + r] + k]
                    for x in range(width):
                        line[x] += w * np.float32(source[x])
            for x in range(width):
                block[x, r] = line[x]
        for j in range(col_start.size):
            total[:] = zero
            for k in range(col_weight.shape[1]):
                w, at = col_weight[j, k], 3 * (col_start[j] + k)
                for colour in range(3):
                    for r in range(LANES):
                        total[colour, r] += w * block[at + colour, r]
            for r in range(rows):
                for colour in range(3):
                    value = min(max(total[colour, r] + half, zero), top)
                    out[first + r, 3 * j + colour] = np.uint8(value)


def resample(pixels: NDArray[np.uint8], rows: Taps, cols: Taps) -> NDArray[np.uint8]:
    """Apply the taps of both axes to an RGB window.

    Parameters
    ----------
    pixels : ndarray of uint8, (h, w, 3)
        Pixels to resample.
    rows, cols : Taps
        Starts counted from the window's top left pixel.

    Returns
    -------
    ndarray of uint8, (len(rows.start), len(cols.start), 3)
    """
    out = np.empty((rows.start.size, cols.start.size, 3), np.uint8)
    flat = np.ascontiguousarray(pixels).reshape(pixels.shape[0], -1)
    flat.flags.writeable = False  # compiled once, for what a reader may and what it may not write
    _resample(flat, rows.start, rows.weight, cols.start, cols.weight, out.reshape(out.shape[0], -1))
    return out
