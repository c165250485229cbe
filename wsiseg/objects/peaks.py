"""Peaks of the depth: one for every nucleus."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsiseg.objects.depth import SMOOTH_SUM, Sides
from wsiseg.objects.scales import LEVELS_PER_PX, Scales

UNIT = SMOOTH_SUM * LEVELS_PER_PX
"""What one pixel of distance is in the depth map."""


@njit(cache=True, nogil=True, inline="always")
def _mixed(row, col):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Mix a position into a number that no other position has (the bijection of splitmix64)."""
    x = (np.uint64(row) << np.uint64(32)) | np.uint64(col)
    x += np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=True, nogil=True)
def _find(mask, depth, doubt, sides, row0, col0, lowest, neck, box, fixed_box, unit):  # type: ignore[no-untyped-def]  # pragma: no cover
    rows, cols = mask.shape
    seen = np.zeros((rows, cols), np.int32)
    stack = np.empty(1024, np.int64)
    found = np.empty((256, 3), np.int64)
    count = 0
    stamp = 0
    for r in range(rows):
        for c in range(cols):
            if mask[r, c] == 0 or depth[r, c] < lowest or doubt[r, c]:
                continue
            own = depth[r, c]
            key = _mixed(row0 + r, col0 + c)
            beaten = False
            unsure = False
            for dr in range(-1, 2):
                for dc in range(-1, 2):
                    rr, cc = r + dr, c + dc
                    if rr < 0 or cc < 0 or rr >= rows or cc >= cols or mask[rr, cc] == 0:
                        continue
                    other = depth[rr, cc]
                    if other > own or (other == own and (dr or dc) and _mixed(row0 + rr, col0 + cc) > key):
                        if doubt[rr, cc]:
                            unsure = True
                        else:
                            beaten = True
                            break
                if beaten:
                    break
            if beaten:
                continue
            # walk the surroundings without going below the neck; a higher place there takes this one in
            stamp += 1
            floor = neck * own
            reach = fixed_box if fixed_box else int(box * own / unit)
            seen[r, c] = stamp
            stack[0] = r * cols + c
            head, tail = 0, 1
            while head < tail and not beaten:
                at = stack[head]
                head += 1
                ar, ac = at // cols, at % cols
                if (
                    (ar == 0 and sides[0])
                    or (ac == 0 and sides[1])
                    or (ar == rows - 1 and sides[2])
                    or (ac == cols - 1 and sides[3])
                ):
                    unsure = True
                for k in range(4):
                    rr = ar + (k == 0) - (k == 1)
                    cc = ac + (k == 2) - (k == 3)
                    if rr < 0 or cc < 0 or rr >= rows or cc >= cols or seen[rr, cc] == stamp:
                        continue
                    if abs(rr - r) > reach or abs(cc - c) > reach:
                        continue
                    if mask[rr, cc] == 0 or depth[rr, cc] < floor:
                        continue
                    if doubt[rr, cc]:
                        unsure = True
                        continue
                    other = depth[rr, cc]
                    if other > own or (other == own and _mixed(row0 + rr, col0 + cc) > key):
                        beaten = True
                        break
                    seen[rr, cc] = stamp
                    if tail == stack.size:
                        larger = np.empty(2 * tail, np.int64)
                        larger[:tail] = stack
                        stack = larger
                    stack[tail] = rr * cols + cc
                    tail += 1
            if beaten:
                continue
            if count == found.shape[0]:
                longer = np.empty((2 * count, 3), np.int64)
                longer[:count] = found
                found = longer
            found[count, 0] = r
            found[count, 1] = c
            found[count, 2] = unsure
            count += 1
    return found[:count]


@njit(cache=True, nogil=True)
def _keys(places, row0, col0):  # type: ignore[no-untyped-def]  # pragma: no cover
    keys = np.empty(places.shape[0], np.uint64)
    for i in range(places.shape[0]):
        keys[i] = _mixed(row0 + places[i, 0], col0 + places[i, 1])
    return keys


def find_peaks(
    mask: NDArray[np.uint8],
    depth: NDArray[np.float32],
    doubt: NDArray[np.uint8],
    sides: Sides,
    origin: tuple[int, int],
    scales: Scales,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the peaks of the depth, the strongest first.

    Pixels have a strict order: by depth, then by a fixed scramble of their place in the frame (so that a
    plateau has one top, and a very large one has tops all over). A pixel is a peak if none of its eight
    neighbours comes before it, and no pixel that comes before it is met on a 4-connected walk from it that
    stays in a box of `peak_box` times its depth and never goes below `neck` times its depth.

    Parameters
    ----------
    mask, depth, doubt : ndarray, shape (rows, cols)
        Mask and depth map of the window (see `depth_map`).
    sides : Sides
        Sides of the window that cut the frame.
    origin : tuple of int
        Row and column of the window in the frame.
    scales : Scales
        Sizes in pixels.

    Returns
    -------
    places : ndarray of int64, shape (n, 2)
        Row and column in the window.
    sure : ndarray of bool, shape (n,)
        False where what lies beyond a cut side could decide otherwise.
    """
    found = _find(
        mask,
        depth,
        doubt,
        np.array(sides),
        origin[0],
        origin[1],
        max(1.0, scales.shallowest_px * UNIT),
        scales.neck if scales.split else 0.0,
        scales.peak_box,
        0 if scales.split else scales.peak_box_px,
        float(UNIT),
    )
    places = found[:, :2]
    order = np.lexsort((_keys(places, *origin), depth[places[:, 0], places[:, 1]]))[::-1]
    return np.ascontiguousarray(places[order]), found[order, 2] == 0
