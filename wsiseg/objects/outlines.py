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
def _boxes(labels, count):
    rows, cols = labels.shape
    boxes = np.empty((count, 4), np.int32)
    for k in range(count):
        boxes[k, 0], boxes[k, 1], boxes[k, 2], boxes[k, 3] = rows, cols, 0, 0
    for r in range(rows):
        c = 0
        while c < cols:
            k = labels[r, c]
            if k == 0:
                c += 1
                continue
            begin = c
            while c < cols and labels[r, c] == k:
                c += 1
            boxes[k - 1, 0] = min(boxes[k - 1, 0], r)
            boxes[k - 1, 1] = min(boxes[k - 1, 1], begin)
            boxes[k - 1, 2] = r + 1
            boxes[k - 1, 3] = max(boxes[k - 1, 3], c)
    return boxes


def bounding_boxes(labels: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """Return first row, first column, last row + 1 and last column + 1 of the objects 1..count, (count, 4).

    An object that is not there has its first after its last.
    """
    return _boxes(labels, count)  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _trace(labels, wanted, boxes):
    """Trace one object after another, each inside of its box: its outer ring is met first."""
    rows, cols = labels.shape
    seen = np.zeros((rows, cols), np.uint8)
    nothing = np.zeros(cols, labels.dtype)
    points = np.empty((4096, 2))
    starts = np.empty(256, np.int64)
    owners = np.empty(256, np.int64)
    used, rings, index = 0, 0, -1
    for k in range(1, boxes.shape[0] + 1):
        if not wanted[k - 1]:
            continue
        index += 1
        row0, col0, row1, col1 = boxes[k - 1]
        for r0 in range(row0, row1):
            row = labels[r0, col0:col1]
            above = labels[r0 - 1, col0:col1] if r0 > row0 else nothing[: col1 - col0]
            for i in range(row.size):
                if row[i] != k or above[i] == k or seen[r0, col0 + i]:
                    continue
                c0 = col0 + i
                if rings + 1 >= starts.size:
                    starts, owners = longer(starts), longer(owners)
                starts[rings] = used
                owners[rings] = index
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
                    left = row0 <= ly < row1 and col0 <= lx < col1 and labels[ly, lx] == k
                    right = row0 <= ry < row1 and col0 <= rx < col1 and labels[ry, rx] == k
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


def trace(
    labels: NDArray[np.int32], wanted: NDArray[np.bool_], boxes: NDArray[np.int32] | None = None
) -> Rings:
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
    boxes : ndarray of int32, shape (n, 4), optional
        Their `bounding_boxes`, where they are known.

    Returns
    -------
    Rings
        Points (x, y) in pixels; owners count the wanted objects from 0.
    """
    return Rings(*_trace(labels, wanted, _boxes(labels, len(wanted)) if boxes is None else boxes))
