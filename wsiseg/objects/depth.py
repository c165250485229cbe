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
def _upright(mask, cap, margin, upright):
    """Distance to the background up or down the column, at most `cap`; `upright` has side margins."""
    rows, cols = mask.shape
    one, zero = np.uint8(1), np.uint8(0)
    for r in range(rows):
        inside, here = mask[r], upright[r, margin : margin + cols]
        above = upright[max(r - 1, 0), margin : margin + cols]
        for c in range(cols):
            further = np.uint8(above[c] + one) if r else cap
            here[c] = min(cap, further) if inside[c] else zero
    for r in range(rows - 2, -1, -1):
        here, below = upright[r, margin : margin + cols], upright[r + 1, margin : margin + cols]
        for c in range(cols):
            here[c] = min(here[c], np.uint8(below[c] + one))


@njit(cache=True, nogil=True)
def _distances(upright, margin, sides, level, raw, doubt):
    """Quantised distance of every pixel: the second pass of Meijster's method, by search outwards.

    `upright` has `margin` columns on either side that are as far as can be, so that no search leaves it.
    """
    rows, cols = doubt.shape[0] - 2, doubt.shape[1] - 2
    unsure = False
    for r in range(rows):
        far = rows + cols
        if sides[0]:
            far = min(far, r + 1)
        if sides[2]:
            far = min(far, rows - r)
        line = upright[r]
        for c in range(cols):
            at = np.uint64(c + margin)
            g = np.int32(line[at])
            if g == 0:
                continue
            best = g * g
            reach = np.int32(1)
            while reach * reach < best:
                g = np.int32(min(line[at - np.uint64(reach)], line[at + np.uint64(reach)]))
                best = min(best, reach * reach + g * g)
                reach += np.int32(1)
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
def _smoothed(raw, mask, out):
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
    upright = np.empty((rows, cols + 2 * deepest_px), np.uint8)
    upright[:, :deepest_px] = upright[:, -deepest_px:] = deepest_px
    raw = np.zeros((rows + 2 * SMOOTH_PX, cols + 2 * SMOOTH_PX), np.uint16)
    depth = np.zeros((rows + 2, cols + 2), np.uint16)
    doubt = np.zeros((rows + 2, cols + 2), np.uint8)
    _upright(mask, np.uint8(deepest_px), deepest_px, upright)
    unsure = _distances(upright, deepest_px, np.array(sides), level, raw, doubt)
    raw[:, :SMOOTH_PX] = raw[
        :, SMOOTH_PX : SMOOTH_PX + 1
    ]  # beyond the border the depth continues as at the border
    raw[:, -SMOOTH_PX:] = raw[:, -SMOOTH_PX - 1 : -SMOOTH_PX]
    raw[:SMOOTH_PX] = raw[SMOOTH_PX]
    raw[-SMOOTH_PX:] = raw[-SMOOTH_PX - 1]
    if unsure:
        side = 2 * SMOOTH_PX + 1
        cv2.dilate(doubt, np.ones((side, side), np.uint8), dst=doubt)
    _smoothed(raw, mask, depth)
    return depth, doubt
