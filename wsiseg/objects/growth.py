"""Growth of nuclei from their peaks, and of the unknown from where a window ends."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsiseg.objects.depth import Sides
from wsiseg.objects.growing import longer
from wsiseg.objects.scales import LEVELS_PER_PX, Scales

UNKNOWN = 1
"""The label that stands for everything that could come from outside of the window."""


@njit(cache=True, nogil=True)
def _seed(depth, doubt, sides, places, sure, label):
    """Label the pixels that growth starts from; return them, flat, the peaks before the unknown ones."""
    rows, cols = depth.shape
    seeds = np.empty(places.shape[0] + rows * cols, np.int32)
    n = 0
    for i in range(places.shape[0]):
        if sure[i]:
            r, c = places[i, 0], places[i, 1]
            label[r, c] = i + 2
            seeds[n] = r * cols + c
            n += 1
    for i in range(places.shape[0]):
        if not sure[i]:
            r, c = places[i, 0], places[i, 1]
            label[r, c] = UNKNOWN
            seeds[n] = r * cols + c
            n += 1
    if sides[0] or sides[1] or sides[2] or sides[3]:
        for r in range(1, rows - 1):
            rim = (r == 1 and sides[0]) or (r == rows - 2 and sides[2])
            if not rim:
                line, any_doubt = doubt[r], np.uint8(0)
                for c in range(cols):
                    any_doubt |= line[c]
                if not any_doubt:
                    for c in (1, cols - 2):
                        edge = sides[1] if c == 1 else sides[3]
                        if edge and depth[r, c] and label[r, c] == 0:
                            label[r, c] = UNKNOWN
                            seeds[n] = r * cols + c
                            n += 1
                    continue
            for c in range(1, cols - 1):
                edge = rim or (c == 1 and sides[1]) or (c == cols - 2 and sides[3])
                if (edge or doubt[r, c]) and depth[r, c] and label[r, c] == 0:
                    label[r, c] = UNKNOWN
                    seeds[n] = r * cols + c
                    n += 1
    return seeds[:n]


@njit(cache=True, nogil=True)
def _grow(depth, cols, label, seeds, deepest, spread):
    """Grow inside one connected piece of the mask after another, each small enough to stay in the cache."""
    size = depth.size
    last = deepest + spread
    never = last + 1
    # A byte a pixel for the walk; places are unsigned so that none is looked at from the end.
    free = np.empty(size, np.uint8)
    for i in range(size):
        free[i] = depth[i] != 0
    cost = np.empty(size, np.int16)
    piece = np.empty(size, np.uint32)
    entry = np.empty(4096, np.uint32)
    following = np.empty(4096, np.int32)
    heads = np.full(last + 1, -1, np.int32)
    up, one = np.uint64(cols), np.uint64(1)
    for i in range(seeds.size):
        seed = np.uint64(seeds[i])
        if not free[seed]:
            continue
        # the piece, breadth first from one of its seeds
        only = label[seed]
        alone = True
        free[seed] = 0
        piece[0] = seed
        begin, end, rounds = 0, 1, 0
        while begin < end:
            stop = end
            rounds += 1
            for at in range(begin, stop):
                q = np.uint64(piece[at])
                if label[q] != 0 and label[q] != only:
                    alone = False
                for p in (q - up, q + up, q - one, q + one):
                    if free[p]:
                        free[p] = 0
                        piece[end] = p
                        end += 1
            begin = stop
        if alone and (rounds <= spread or only == UNKNOWN):  # nothing to fight for, nothing out of reach
            for at in range(end):
                label[np.uint64(piece[at])] = only
            continue
        used = 0
        first = last
        for at in range(end):
            q = np.uint64(piece[at])
            cost[q] = never
            if label[q] != 0:
                level = deepest - (np.int64(depth[q]) >> 8)
                cost[q] = level
                first = min(first, level)
                if used == entry.size:
                    entry, following = longer(entry), longer(following)
                entry[used] = q
                following[used] = heads[level]
                heads[level] = used
                used += 1
        for now in range(first, last):
            next_at = np.int64(heads[now])
            heads[now] = -1
            while next_at >= 0:
                q = np.uint64(entry[next_at])
                next_at = np.int64(following[next_at])
                if cost[q] != now:
                    continue
                own = label[q]
                for p in (q - up, q + up, q - one, q + one):
                    if depth[p] == 0 or cost[p] <= now:
                        continue
                    then = max(now + 1, deepest - (np.int64(depth[p]) >> 8))
                    if then < cost[p]:
                        cost[p] = then
                        label[p] = own
                        if used == entry.size:
                            entry, following = longer(entry), longer(following)
                        entry[used] = p
                        following[used] = heads[then]
                        heads[then] = used
                        used += 1
                    elif then == cost[p] and own < label[p]:
                        label[p] = own
        heads[last] = -1


def grow(
    depth: NDArray[np.uint16],
    doubt: NDArray[np.uint8],
    sides: Sides,
    places: NDArray[np.int64],
    sure: NDArray[np.bool_],
    scales: Scales,
) -> NDArray[np.int32]:
    """Return which peak every pixel of the mask belongs to.

    All peaks grow at once, the deep places first: a peak starts at the cost of its own depth, a pixel joins
    at the greater of its parent's cost + 1 and its own depth's cost, the cheapest (then the strongest) peak
    takes it, and at the last cost growth ends. A watershed, then, but one in which news travels one pixel
    a step. What is unknown (pixels at a cut side, depths in doubt, unsure peaks) grows by the same rule as
    one more label that wins every tie. By induction over the cost, every pixel that the unknown neither
    takes nor touches has the label it would have on the whole frame.

    Parameters
    ----------
    depth, doubt : ndarray, shape (rows, cols)
        The depth map with its border of zeros (see `depth_map`).
    sides : Sides
        Sides of the window that cut the frame; none where the unknown cannot matter.
    places, sure : ndarray
        The peaks, the strongest first (see `find_peaks`).
    scales : Scales
        Sizes in pixels.

    Returns
    -------
    ndarray of int32, shape (rows, cols)
        0 where nothing grew, `UNKNOWN`, or 2 + the index of the peak.
    """
    label = np.zeros(depth.shape, np.int32)
    seeds = _seed(depth, doubt, np.array(sides), places, sure, label)
    deepest = LEVELS_PER_PX * scales.deepest_px
    _grow(depth.ravel(), depth.shape[1], label.reshape(-1), seeds, deepest, scales.spread_px)
    return label
