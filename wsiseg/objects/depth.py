"""Depth: the exact distance to the background, capped, quantised to integers and smoothed exactly."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsiseg.objects.scales import LEVELS_PER_PX, SMOOTH_PX

SMOOTHING = np.array([1, 4, 6, 4, 1], np.float32)
SMOOTH_SUM = 256


class Sides(NamedTuple):
    """Which sides of a window cut through the frame, so that what lies beyond is unknown."""

    top: bool
    left: bool
    bottom: bool
    right: bool


@njit(cache=True, nogil=True)
def _squared(mask, cap, sides, depth, doubt, level):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Meijster's two passes, the second by search outwards, which is short since the depth is capped."""
    rows, cols = mask.shape
    upright = np.empty((rows, cols), np.uint8)
    for c in range(cols):
        upright[0, c] = cap if mask[0, c] else 0
    for r in range(1, rows):
        for c in range(cols):
            upright[r, c] = min(cap, upright[r - 1, c] + 1) if mask[r, c] else 0
    for r in range(rows - 2, -1, -1):
        for c in range(cols):
            upright[r, c] = min(upright[r, c], upright[r + 1, c] + 1)
    for r in range(rows):
        far = cap + 1
        if sides[0]:
            far = min(far, r + 1)
        if sides[2]:
            far = min(far, rows - r)
        for c in range(cols):
            g = np.int64(upright[r, c])
            if g == 0:
                depth[r, c] = 0
                doubt[r, c] = 0
                continue
            best = g * g
            reach = 1
            while reach * reach < best:
                if c >= reach:
                    g = np.int64(upright[r, c - reach])
                    best = min(best, reach * reach + g * g)
                if c + reach < cols:
                    g = np.int64(upright[r, c + reach])
                    best = min(best, reach * reach + g * g)
                reach += 1
            depth[r, c] = level[best]
            edge = far
            if sides[1]:
                edge = min(edge, c + 1)
            if sides[3]:
                edge = min(edge, cols - c)
            doubt[r, c] = best > edge * edge


def depth_map(
    mask: NDArray[np.uint8], deepest_px: int, sides: Sides
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return the smoothed depth of every pixel, and where it is in doubt.

    Beyond a side that cuts the frame all is taken for nucleus, so there the depth is an upper bound.
    Integers throughout (held in float32, where they are exact), so every window gives the same values.

    Parameters
    ----------
    mask : ndarray of uint8, shape (rows, cols)
        1 in nuclei.
    deepest_px : int
        Distances are capped here (at most 255).
    sides : Sides
        Sides of the window that cut the frame.

    Returns
    -------
    depth : ndarray of float32, shape (rows, cols)
        Whole numbers: floor(8 x distance to the nearest background pixel), smoothed with the binomial
        kernel of 5 x 5, times 256.
    doubt : ndarray of uint8, shape (rows, cols)
        1 where background beyond a cut side could make the depth smaller.
    """
    squares = np.arange(deepest_px * deepest_px + 1)
    level = np.floor(LEVELS_PER_PX * np.sqrt(squares)).astype(np.uint16)
    depth = np.empty(mask.shape, np.uint16)
    doubt = np.empty(mask.shape, np.uint8)
    _squared(mask, deepest_px, np.array(sides), depth, doubt, level)
    smooth = cv2.sepFilter2D(depth, cv2.CV_32F, SMOOTHING, SMOOTHING, borderType=cv2.BORDER_REFLECT_101)
    if any(sides):
        side = 2 * SMOOTH_PX + 1
        doubt = cv2.dilate(doubt, np.ones((side, side), np.uint8))
    return smooth, doubt
