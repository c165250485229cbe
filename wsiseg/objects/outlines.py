"""Outlines along the pixel corners of all objects of a label image, in one pass."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsiseg.objects.growing import longer, longer_rows


class Rings(NamedTuple):
    """Closed rings of points, end to end; the last point of a ring is its first.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
        (x, y) of each point.
    starts : ndarray of int64, shape (rings + 1,)
        Where each ring begins in `points`; the last entry is n.
    owners : ndarray of int64, shape (rings,)
        Object of each ring, counted from 0, in order; the first ring of an object is its outer one.
    """

    points: NDArray[np.float64]
    starts: NDArray[np.int64]
    owners: NDArray[np.int64]


@njit(cache=True, nogil=True)
def _trace(labels, wanted):  # type: ignore[no-untyped-def]  # pragma: no cover
    rows, cols = labels.shape
    seen = np.zeros((rows, cols), np.uint8)
    points = np.empty((4096, 2), np.int32)
    starts = np.empty(256, np.int64)
    owners = np.empty(256, np.int64)
    used, rings = 0, 0
    for r0 in range(rows):
        for c0 in range(cols):
            k = labels[r0, c0]
            if k == 0 or not wanted[k] or seen[r0, c0]:
                continue
            if r0 > 0 and labels[r0 - 1, c0] == k:
                continue
            if rings + 1 >= starts.size:
                starts, owners = longer(starts), longer(owners)
            starts[rings] = used
            owners[rings] = k
            rings += 1
            # walk with the object on the right: east over the upper edge of (r0, c0), till back there
            y, x, dy, dx = r0, c0, 0, 1
            while True:
                if dx == 1:
                    if seen[y, x]:
                        break
                    seen[y, x] = 1
                y += dy
                x += dx
                # the pixels ahead, left and right of the way
                ly = y + (-1 if (dy == -1 or dx == 1) else 0)
                lx = x + (-1 if (dx == -1 or dy == -1) else 0)
                ry = y + (-1 if (dy == -1 or dx == -1) else 0)
                rx = x + (-1 if (dx == -1 or dy == 1) else 0)
                left = 0 <= ly < rows and 0 <= lx < cols and labels[ly, lx] == k
                right = 0 <= ry < rows and 0 <= rx < cols and labels[ry, rx] == k
                if right and not left:
                    continue
                if used + 2 >= points.shape[0]:
                    points = longer_rows(points)
                points[used, 0] = x
                points[used, 1] = y
                used += 1
                if left:
                    dy, dx = -dx, dy
                else:
                    dy, dx = dx, -dy
            points[used, 0] = points[starts[rings - 1], 0]
            points[used, 1] = points[starts[rings - 1], 1]
            used += 1
    starts[rings] = used
    return points[:used], starts[: rings + 1], owners[:rings]


def trace(labels: NDArray[np.int32], wanted: NDArray[np.bool_]) -> Rings:
    """Return the exact outlines of the wanted objects.

    A ring runs along pixel corners, pixel (row, col) being the square [col, col + 1] x [row, row + 1], and
    has a point at every turn. Where two pixels of an object meet only in a corner the outer ring passes and
    the pocket behind becomes a hole that touches it in a point: so, for 4-connected objects, no ring meets
    itself and the polygons are valid.

    Parameters
    ----------
    labels : ndarray of int32, shape (rows, cols)
        0 in the background, k in the k-th object; objects are 4-connected.
    wanted : ndarray of bool, shape (n,)
        Which of the objects 1..n to trace.

    Returns
    -------
    Rings
        Points (x, y) in pixels; owners count the wanted objects from 0.
    """
    points, starts, owners = _trace(labels, np.concatenate([[False], wanted]))
    index = np.cumsum(wanted) - 1
    order = np.argsort(owners, kind="stable")
    if np.array_equal(order, np.arange(len(order))):
        return Rings(points.astype(np.float64), starts, index[owners - 1])
    sizes = np.diff(starts)[order]
    ends = np.cumsum(sizes)
    take = np.arange(ends[-1]) + np.repeat(starts[:-1][order] - (ends - sizes), sizes)
    return Rings(points[take].astype(np.float64), np.concatenate([[0], ends]), index[owners[order] - 1])
