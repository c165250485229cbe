"""Growth of nuclei from their peaks, and of the unknown from where a window ends."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsiseg.objects.depth import SMOOTH_SUM, Sides
from wsiseg.objects.scales import LEVELS_PER_PX, Scales

UNKNOWN = 1
"""The label that stands for everything that could come from outside of the window."""


@njit(cache=True, nogil=True)
def _grow(mask, depth, doubt, sides, places, sure, deepest, last, smooth_sum, exact):  # type: ignore[no-untyped-def]  # pragma: no cover
    rows, cols = mask.shape
    size = rows * cols
    never = np.int32(last + 1)
    cost = np.full(size, never, np.int32)
    label = np.zeros(size, np.int32)
    heads = np.full(last + 1, -1, np.int64)
    room = 4096
    entry = np.empty(room, np.int64)
    following = np.empty(room, np.int64)
    used = 0
    flat_mask = mask.ravel()
    flat_depth = depth.ravel()
    flat_doubt = doubt.ravel()

    if not exact:
        for r in range(rows):
            rim = (r == 0 and sides[0]) or (r == rows - 1 and sides[2])
            for c in range(cols):
                q = r * cols + c
                if flat_mask[q] and (
                    flat_doubt[q] or rim or (c == 0 and sides[1]) or (c == cols - 1 and sides[3])
                ):
                    label[q] = 1
    n = places.shape[0]
    for i in range(n):
        q = places[i, 0] * cols + places[i, 1]
        if label[q] == 0:
            label[q] = i + 2 if (sure[i] or exact) else 1
    for q in range(size):
        if label[q]:
            level = deepest - np.int64(flat_depth[q]) // smooth_sum
            if level > last:
                label[q] = 0
                continue
            cost[q] = level
            if used == room:
                entry, following, room = _longer(entry, following, room)
            entry[used] = q
            following[used] = heads[level]
            heads[level] = used
            used += 1

    for now in range(last):
        at = heads[now]
        while at >= 0:
            q = entry[at]
            at = following[at]
            if cost[q] != now:
                continue
            own = label[q]
            c = q % cols
            for k in range(4):
                if k == 0:
                    p = q - cols
                    if p < 0:
                        continue
                elif k == 1:
                    p = q + cols
                    if p >= size:
                        continue
                elif k == 2:
                    if c == 0:
                        continue
                    p = q - 1
                else:
                    if c == cols - 1:
                        continue
                    p = q + 1
                if flat_mask[p] == 0 or cost[p] <= now:
                    continue
                then = max(now + 1, deepest - np.int64(flat_depth[p]) // smooth_sum)
                if then < cost[p]:
                    if then > last:
                        continue
                    cost[p] = then
                    label[p] = own
                    if used == room:
                        entry, following, room = _longer(entry, following, room)
                    entry[used] = p
                    following[used] = heads[then]
                    heads[then] = used
                    used += 1
                elif then == cost[p] and own < label[p]:
                    label[p] = own
    return label.reshape(rows, cols)


@njit(cache=True, nogil=True)
def _longer(entry, following, room):  # type: ignore[no-untyped-def]  # pragma: no cover
    more_entry = np.empty(2 * room, np.int64)
    more_entry[:room] = entry
    more_following = np.empty(2 * room, np.int64)
    more_following[:room] = following
    return more_entry, more_following, 2 * room


def grow(
    mask: NDArray[np.uint8],
    depth: NDArray[np.float32],
    doubt: NDArray[np.uint8],
    sides: Sides,
    places: NDArray[np.int64],
    sure: NDArray[np.bool_],
    scales: Scales,
    exact: bool,
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
    mask, depth, doubt : ndarray, shape (rows, cols)
        Mask and depth map of the window (see `depth_map`).
    sides : Sides
        Sides of the window that cut the frame.
    places, sure : ndarray
        The peaks, the strongest first (see `find_peaks`).
    scales : Scales
        Sizes in pixels.
    exact : bool
        Whether the window is so large that the unknown cannot matter, and is left out.

    Returns
    -------
    ndarray of int32, shape (rows, cols)
        0 where nothing grew, `UNKNOWN`, or 2 + the index of the peak.
    """
    return _grow(  # type: ignore[no-any-return]
        mask,
        depth,
        doubt,
        np.array(sides),
        places,
        sure,
        LEVELS_PER_PX * scales.deepest_px,
        scales.last_cost,
        SMOOTH_SUM,
        exact,
    )
