"""Outlines with few points: the staircase of pixels smoothed and thinned, the area kept."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsiseg.objects.outlines import Rings


@njit(cache=True, nogil=True)
def _middles(points, first, last, out):
    """Write the middle of every unit edge of a closed ring of corners, relative to its first point."""
    n = 0
    x0, y0 = points[first, 0], points[first, 1]
    for i in range(first, last - 1):
        x, y = points[i, 0] - x0, points[i, 1] - y0
        dx, dy = points[i + 1, 0] - points[i, 0], points[i + 1, 1] - points[i, 1]
        length = int(abs(dx) + abs(dy))
        for step in range(length):
            out[n, 0] = x + dx * (step + 0.5) / length
            out[n, 1] = y + dy * (step + 0.5) / length
            n += 1
    return n


@njit(cache=True, nogil=True)
def _smooth(ring, n, work):
    """Average each point of a closed ring with the two on either side, weights 1 4 6 4 1."""
    for i in range(n):
        for k in range(2):
            outer = ring[i - 2 if i >= 2 else i - 2 + n, k] + ring[i + 2 if i + 2 < n else i + 2 - n, k]
            inner = ring[i - 1 if i >= 1 else n - 1, k] + ring[i + 1 if i + 1 < n else 0, k]
            work[i, k] = (outer + 4 * inner + 6 * ring[i, k]) / 16
    for i in range(n):
        ring[i, 0], ring[i, 1] = work[i, 0], work[i, 1]


@njit(cache=True, nogil=True)
def _thin(ring, n, tolerance, keep, stack):
    """Mark in `keep` what Douglas and Peucker's method keeps of a closed ring of n points."""
    far, best = 0, -1.0
    for i in range(n):
        keep[i] = False
        d = (ring[i, 0] - ring[0, 0]) ** 2 + (ring[i, 1] - ring[0, 1]) ** 2
        if d > best:
            far, best = i, d
    keep[0] = True
    keep[far] = True
    stack[0, 0], stack[0, 1] = 0, far
    stack[1, 0], stack[1, 1] = far, n
    depth = 2
    while depth:
        depth -= 1
        a, b = stack[depth, 0], stack[depth, 1]
        end = b if b < n else 0
        ax, ay = ring[a, 0], ring[a, 1]
        bx, by = ring[end, 0] - ax, ring[end, 1] - ay
        length2 = bx * bx + by * by
        worst, where = tolerance * tolerance * length2, -1
        for i in range(a + 1, b):
            cross = bx * (ring[i, 1] - ay) - by * (ring[i, 0] - ax)
            if cross * cross > worst:
                worst, where = cross * cross, i
        if where >= 0:
            keep[where] = True
            stack[depth, 0], stack[depth, 1] = a, where
            stack[depth + 1, 0], stack[depth + 1, 1] = where, b
            depth += 2


@njit(cache=True, nogil=True)
def _simplified(points, starts, owners, areas, tolerance):
    rings = owners.size
    longest, total = 0, 0
    for i in range(rings):
        length = 0.0
        for j in range(starts[i], starts[i + 1] - 1):
            length += abs(points[j + 1, 0] - points[j, 0]) + abs(points[j + 1, 1] - points[j, 1])
        longest = max(longest, int(length))
        total += int(length) + 1
    ring = np.empty((longest, 2))
    work = np.empty((longest, 2))
    keep = np.empty(longest, np.bool_)
    stack = np.empty((longest + 2, 2), np.int64)
    out = np.empty((total, 2))
    out_starts = np.empty(rings + 1, np.int64)
    out_owners = np.empty(rings, np.int64)
    used, out_rings = 0, 0
    first_ring = 0
    while first_ring < rings:
        owner = owners[first_ring]
        end_ring = first_ring + 1
        while end_ring < rings and owners[end_ring] == owner:
            end_ring += 1
        x_zero, y_zero = points[starts[first_ring], 0], points[starts[first_ring], 1]
        area2, mx, my = 0.0, 0.0, 0.0
        begin, begin_rings = used, out_rings
        for i in range(first_ring, end_ring):
            n = _middles(points, starts[i], starts[i + 1], ring)
            _smooth(ring, n, work)
            _thin(ring, n, tolerance, keep, stack)
            dx, dy = points[starts[i], 0] - x_zero, points[starts[i], 1] - y_zero
            ring_begin = used
            for j in range(n):
                if keep[j]:
                    out[used, 0] = ring[j, 0] + dx
                    out[used, 1] = ring[j, 1] + dy
                    used += 1
            if used - ring_begin < 3:
                used = ring_begin
                if i == first_ring:
                    break
                continue  # a hole smaller than the tolerance
            out_starts[out_rings] = ring_begin
            out_owners[out_rings] = owner
            out_rings += 1
            out[used, 0], out[used, 1] = out[ring_begin, 0], out[ring_begin, 1]
            used += 1
            for j in range(ring_begin, used - 1):
                cross = out[j, 0] * out[j + 1, 1] - out[j + 1, 0] * out[j, 1]
                area2 += cross
                mx += (out[j, 0] + out[j + 1, 0]) * cross
                my += (out[j, 1] + out[j + 1, 1]) * cross
        ratio = 2 * areas[owner] / area2 if area2 > 0 else 0.0
        if 0.8 < ratio < 1.25:
            factor = math.sqrt(ratio)
            cx, cy = mx / (3 * area2), my / (3 * area2)
            for j in range(begin, used):
                out[j, 0] = (out[j, 0] - cx) * factor + cx + x_zero
                out[j, 1] = (out[j, 1] - cy) * factor + cy + y_zero
        else:  # too small or too thin to be thinned: the exact outline
            used, out_rings = begin, begin_rings
            for i in range(first_ring, end_ring):
                out_starts[out_rings] = used
                out_owners[out_rings] = owner
                out_rings += 1
                for j in range(starts[i], starts[i + 1]):
                    out[used, 0], out[used, 1] = points[j, 0], points[j, 1]
                    used += 1
        first_ring = end_ring
    out_starts[out_rings] = used
    return out[:used], out_starts[: out_rings + 1], out_owners[:out_rings]


def simplified(rings: Rings, areas_px: NDArray[np.int64], tolerance_px: float) -> Rings:
    """Return outlines with fewer points and the same areas.

    The corners of the pixels give way to the middles of their edges, these are smoothed a little (the
    staircase goes, so that the length is that of the outline: within 1 % for ellipses of nuclear size) and
    thinned by the method of Douglas and Peucker, and each object is scaled about its centre (by some percent)
    to the area it had. Arithmetic is relative to the object's own first point: the window does not matter.

    Parameters
    ----------
    rings : Rings
        Exact outlines in pixels (see `trace`), the rings of an object one after another.
    areas_px : ndarray of int64, shape (objects,)
        Pixels of each object.
    tolerance_px : float
        How far a left-out point may lie from the outline.

    Returns
    -------
    Rings
        The same rings, without holes that are smaller than the tolerance; an object that is too small or thin
        for this keeps its exact rings.
    """
    return Rings(*_simplified(*rings, areas_px, float(tolerance_px)))
