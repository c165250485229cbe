"""Peaks of the depth: one for every nucleus."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsiseg.objects.depth import UNIT, Sides
from wsiseg.objects.growing import longer
from wsiseg.objects.scales import Scales


@njit(cache=True, nogil=True, inline="always")
def _mixed(place):
    """Mix a place into a number that no other place has (the bijection of splitmix64)."""
    x = np.uint64(place) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=True, nogil=True, inline="always")
def _key(q, cols, row0, col0):
    return _mixed(((row0 + q // cols) << 32) | (col0 + q % cols))


@njit(cache=True, nogil=True)
def _tops(depth, doubt, cols, row0, col0, lowest):
    """Pixels that no neighbour comes before, and whether a neighbour in doubt could."""
    found = np.empty(1024, np.int64)
    unsure = np.empty(1024, np.bool_)
    count = 0
    # Unsigned, so that no place is looked at from the end.
    one, up = np.uint64(1), np.uint64(cols)
    for place in range(cols + 1, depth.size - cols - 1):
        q = np.uint64(place)
        own = depth[q]
        if own < lowest or doubt[q]:
            continue
        beaten, open_question = False, False
        for p in (q - one, q + one, q - up, q + up, q - up - one, q - up + one, q + up - one, q + up + one):
            other = depth[p]
            if other > own or (
                other == own and _key(np.int64(p), cols, row0, col0) > _key(place, cols, row0, col0)
            ):
                if doubt[p]:
                    open_question = True
                else:
                    beaten = True
                    break
        if beaten:
            continue
        if count == found.size:
            found, unsure = longer(found), longer(unsure)
        found[count] = q
        unsure[count] = open_question
        count += 1
    return found[:count], unsure[:count]


@njit(cache=True, nogil=True)
def _standing(tops, unsure, depth, doubt, cols, row0, col0, sides, neck, box, fixed_box, unit):
    """Walk around each top without going below its neck; drop it where a higher place is met."""
    rows = depth.size // cols
    seen = np.zeros(depth.size, np.int32)
    walk = np.empty(depth.size, np.int32)
    keep = np.ones(tops.size, np.bool_)
    for i in range(tops.size):
        top = tops[i]
        own = depth[top]
        key = _key(top, cols, row0, col0)
        floor = max(1.0, neck * own)
        reach = fixed_box if fixed_box else int(box * own / unit)
        r, c = top // cols, top % cols
        seen[top] = i + 1
        walk[0] = top
        head, tail = 0, 1
        while head < tail and keep[i]:
            at = walk[head]
            head += 1
            ar, ac = at // cols, at % cols
            if (
                (ar == 1 and sides[0])
                or (ac == 1 and sides[1])
                or (ar == rows - 2 and sides[2])
                or (ac == cols - 2 and sides[3])
            ):
                unsure[i] = True
            for k in range(4):
                rr = ar + (k == 0) - (k == 1)
                cc = ac + (k == 2) - (k == 3)
                p = rr * cols + cc
                other = depth[p]
                if other < floor or seen[p] == i + 1 or abs(rr - r) > reach or abs(cc - c) > reach:
                    continue
                if doubt[p]:
                    unsure[i] = True
                elif other > own or (other == own and _key(p, cols, row0, col0) > key):
                    keep[i] = False
                    break
                else:
                    seen[p] = i + 1
                    walk[tail] = p
                    tail += 1
    return keep


@njit(cache=True, nogil=True)
def _keys(tops, cols, row0, col0):
    keys = np.empty(tops.size, np.uint64)
    for i in range(tops.size):
        keys[i] = _key(tops[i], cols, row0, col0)
    return keys


def find_peaks(
    depth: NDArray[np.uint16],
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
    depth, doubt : ndarray, shape (rows, cols)
        The depth map with its border of zeros (see `depth_map`).
    sides : Sides
        Sides of the window that cut the frame.
    origin : tuple of int
        Row and column of ``depth[0, 0]`` in the frame (so -1 where the window begins with the frame).
    scales : Scales
        Sizes in pixels.

    Returns
    -------
    places : ndarray of int64, shape (n, 2)
        Row and column in the arrays given.
    sure : ndarray of bool, shape (n,)
        False where what lies beyond a cut side could decide otherwise.
    """
    place = (depth.shape[1], *origin)
    flat_depth, flat_doubt = depth.ravel(), doubt.ravel()
    lowest = max(1, round(scales.shallowest_px * UNIT))
    tops, unsure = _tops(flat_depth, flat_doubt, *place, lowest)
    neck = scales.neck if scales.split else 0.0
    fixed_box = 0 if scales.split else scales.peak_box_px
    keep = _standing(
        tops,
        unsure,
        flat_depth,
        flat_doubt,
        *place,
        np.array(sides),
        neck,
        scales.peak_box,
        fixed_box,
        float(UNIT),
    )
    tops, unsure = tops[keep], unsure[keep]
    order = np.lexsort((_keys(tops, *place), flat_depth[tops]))[::-1]
    return np.stack(np.divmod(tops[order], depth.shape[1]), axis=1), ~unsure[order]
