"""Depth: the exact distance to the background, capped, quantised to integers and smoothed exactly."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsiseg.objects.scales import LEVELS_PER_PX, SMOOTH_PX

UNIT = 256 * LEVELS_PER_PX
"""What one pixel of distance is in the depth map (256 is the sum of the smoothing's weights)."""


class Sides(NamedTuple):
    """Which sides of a window cut through the frame, so that what lies beyond is unknown."""

    top: bool
    left: bool
    bottom: bool
    right: bool


@njit(cache=True, nogil=True)
def _upright(mask, cap, upright):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Distance to the background up or down the column, at most `cap`."""
    rows, cols = mask.shape
    one = np.uint8(1)
    for c in range(cols):
        upright[0, c] = cap if mask[0, c] else np.uint8(0)
    for r in range(1, rows):
        for c in range(cols):
            upright[r, c] = min(cap, np.uint8(upright[r - 1, c] + one)) * mask[r, c]
    for r in range(rows - 2, -1, -1):
        for c in range(cols):
            upright[r, c] = min(upright[r, c], np.uint8(upright[r + 1, c] + one))


@njit(cache=True, nogil=True)
def _distances(upright, sides, level, raw, doubt):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Quantised distance of every pixel: the second pass of Meijster's method, by search outwards."""
    rows, cols = upright.shape
    unsure = False
    for r in range(rows):
        far = rows + cols
        if sides[0]:
            far = min(far, r + 1)
        if sides[2]:
            far = min(far, rows - r)
        for c in range(cols):
            g = np.int32(upright[r, c])
            if g == 0:
                continue
            best = g * g
            reach = 1
            while reach * reach < best:
                if c >= reach:
                    g = np.int32(upright[r, c - reach])
                    best = min(best, reach * reach + g * g)
                if c + reach < cols:
                    g = np.int32(upright[r, c + reach])
                    best = min(best, reach * reach + g * g)
                reach += 1
            raw[r + 2, c + 2] = level[best]
            edge = far
            if sides[1]:
                edge = min(edge, c + 1)
            if sides[3]:
                edge = min(edge, cols - c)
            if best > edge * edge:
                doubt[r + 1, c + 1] = 1
                unsure = True
    return unsure


@njit(cache=True, nogil=True)
def _smoothed(raw, mask, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Sum over 5 x 5 pixels with binomial weights, in nuclei only."""
    rows, cols = mask.shape
    line = np.empty(cols + 4, np.uint32)
    four, six = np.uint32(4), np.uint32(6)
    for r in range(rows):
        for c in range(cols + 4):
            outer = np.uint32(raw[r, c]) + np.uint32(raw[r + 4, c])
            inner = np.uint32(raw[r + 1, c]) + np.uint32(raw[r + 3, c])
            line[c] = outer + four * inner + six * np.uint32(raw[r + 2, c])
        for c in range(cols):
            total = line[c] + line[c + 4] + four * (line[c + 1] + line[c + 3]) + six * line[c + 2]
            out[r + 1, c + 1] = np.uint16(total) * np.uint16(mask[r, c])


def depth_map(
    mask: NDArray[np.uint8], deepest_px: int, sides: Sides
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Return the smoothed depth of every pixel, and where it is in doubt, with a border of one zero.

    Beyond a side that cuts the frame all is taken for nucleus, so there the depth is an upper bound (up to
    `SMOOTH_PX` from such a side, where the smoothing wants values from beyond, it means nothing).
    Integers throughout, so every window gives the same values.

    Parameters
    ----------
    mask : ndarray of uint8, shape (rows, cols)
        1 in nuclei.
    deepest_px : int
        Distances are capped here (at most 63).
    sides : Sides
        Sides of the window that cut the frame.

    Returns
    -------
    depth : ndarray of uint16, shape (rows + 2, cols + 2)
        floor(4 x distance to the nearest background pixel), smoothed with the binomial kernel of 5 x 5,
        times 256; 0 in the background only.
    doubt : ndarray of uint8, shape (rows + 2, cols + 2)
        1 where background beyond a cut side could make the depth smaller.
    """
    rows, cols = mask.shape
    level = np.floor(LEVELS_PER_PX * np.sqrt(np.arange(deepest_px * deepest_px + 1))).astype(np.uint16)
    upright = np.empty((rows, cols), np.uint8)
    raw = np.zeros((rows + 2 * SMOOTH_PX, cols + 2 * SMOOTH_PX), np.uint16)
    depth = np.zeros((rows + 2, cols + 2), np.uint16)
    doubt = np.zeros((rows + 2, cols + 2), np.uint8)
    _upright(mask, np.uint8(deepest_px), upright)
    unsure = _distances(upright, np.array(sides), level, raw, doubt)
    raw[:, :SMOOTH_PX] = raw[
        :, SMOOTH_PX : SMOOTH_PX + 1
    ]  # beyond the border the depth goes on as at the border
    raw[:, -SMOOTH_PX:] = raw[:, -SMOOTH_PX - 1 : -SMOOTH_PX]
    raw[:SMOOTH_PX] = raw[SMOOTH_PX]
    raw[-SMOOTH_PX:] = raw[-SMOOTH_PX - 1]
    if unsure:
        side = 2 * SMOOTH_PX + 1
        cv2.dilate(doubt, np.ones((side, side), np.uint8), dst=doubt)
    _smoothed(raw, mask, depth)
    return depth, doubt
