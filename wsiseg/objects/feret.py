"""Feret diameters: how far apart two parallel lines are that an object just fits between."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsiseg.objects.outlines import Rings


@njit(cache=True, nogil=True)
def _is_before(points, a, b):
    return points[a, 0] < points[b, 0] or (points[a, 0] == points[b, 0] and points[a, 1] < points[b, 1])


@njit(cache=True, nogil=True)
def _turn(points, o, a, b):
    return (points[a, 0] - points[o, 0]) * (points[b, 1] - points[o, 1]) - (points[a, 1] - points[o, 1]) * (
        points[b, 0] - points[o, 0]
    )


@njit(cache=True, nogil=True)
def _hull(points):
    """Andrew's monotone chain: indices of the corners of the convex hull, in order."""
    count = points.shape[0]
    order = np.arange(count)
    for i in range(1, count):  # rings have some twenty points
        here, j = order[i], i
        while j > 0 and _is_before(points, here, order[j - 1]):
            order[j] = order[j - 1]
            j -= 1
        order[j] = here
    hull = np.empty(2 * count, np.int64)
    size = 0
    for side in range(2):
        start = size + 1
        for step in range(count):
            here = order[step] if side == 0 else order[count - 1 - step]
            while size > start and _turn(points, hull[size - 2], hull[size - 1], here) <= 0:
                size -= 1
            hull[size] = here
            size += 1
        size -= 1
    return hull[: max(size, 1)]


@njit(cache=True, nogil=True)
def _diameters(points, starts, owners, count):
    most, least = np.zeros(count), np.zeros(count)
    last = -1
    for i in range(owners.size):
        if owners[i] == last:
            continue
        last = owners[i]
        ring = points[starts[i] : starts[i + 1] - 1]
        hull = _hull(ring)
        narrowest = np.inf
        for a in range(hull.size):
            here, then = ring[hull[a]], ring[hull[(a + 1) % hull.size]]
            dx, dy = then[0] - here[0], then[1] - here[1]
            length, widest = np.sqrt(dx * dx + dy * dy), 0.0
            for b in range(hull.size):
                ex, ey = ring[hull[b], 0] - here[0], ring[hull[b], 1] - here[1]
                most[last] = max(most[last], ex * ex + ey * ey)
                widest = max(widest, abs(dx * ey - dy * ex))
            if length > 0:
                narrowest = min(narrowest, widest / length)
        least[last] = narrowest if narrowest < np.inf else 0.0
    return np.sqrt(most), least


def feret_px(rings: Rings, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest and the smallest Feret diameter of each of `count` objects, from its outer ring."""
    points = np.asarray(rings.points, np.float64)
    most, least = _diameters(points, rings.starts, rings.owners, count)
    return most, least
