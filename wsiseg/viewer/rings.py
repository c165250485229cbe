"""Outlines as flat arrays: many rings in one, cut out and thinned without a loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Ints = NDArray[np.int64]

# WKB of a polygon: byte order (1 is little-endian), kind (3), number of rings, number of points, (x, y) ...
ONE_RING = np.frombuffer(b"\x01\x03\0\0\0\x01\0\0\0", np.uint8)
WKB_HEADER, POINT_BYTES = 13, 16


@dataclass(frozen=True, eq=False)
class NucleusRings:
    """The closed rings of n nuclei, one after the other.

    Parameters
    ----------
    points : ndarray of float32, (p, 2)
        (x, y) in level-0 pixels.
    ring_start : ndarray of int64, (r + 1,)
        Where each ring starts in `points`; the last entry is p.
    nucleus_start : ndarray of int64, (n + 1,)
        Where the rings of each nucleus start in `ring_start`; the last entry is r.
    """

    points: NDArray[np.float32]
    ring_start: Ints
    nucleus_start: Ints

    def __len__(self) -> int:
        return len(self.nucleus_start) - 1

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return self.points.nbytes + self.ring_start.nbytes + self.nucleus_start.nbytes

    def take(self, nuclei: Ints) -> NucleusRings:
        """Return the rings of some nuclei, in the given order."""
        starts, counts = self.nucleus_start[nuclei], np.diff(self.nucleus_start)[nuclei]
        rings = ranges(starts, counts)
        points = np.diff(self.ring_start)[rings]
        return NucleusRings(
            self.points[ranges(self.ring_start[rings], points)], from_counts(points), from_counts(counts)
        )

    def thinned(self, step_l0: float) -> NucleusRings:
        """Return the rings without points that lie in the same square of side `step_l0` as the one before."""
        cells = np.floor(self.points / np.float32(step_l0)).astype(np.int64)
        keep = np.ones(len(cells), np.bool_)
        keep[1:] = (cells[1:] != cells[:-1]).any(axis=1)
        keep[self.ring_start[:-1]] = True
        kept_before = np.concatenate([[0], np.cumsum(keep)])
        return NucleusRings(self.points[keep], kept_before[self.ring_start], self.nucleus_start)

    def bounds(self) -> NDArray[np.float32]:
        """Return (x0, y0, x1, y1) of each nucleus, NaN where it has no ring, float32 (n, 4)."""
        out = np.full((len(self), 4), np.nan, np.float32)
        starts = self.ring_start[self.nucleus_start]
        filled = np.flatnonzero(np.diff(starts) > 0)
        if len(filled):
            out[filled, :2] = np.minimum.reduceat(self.points, starts[filled])
            out[filled, 2:] = np.maximum.reduceat(self.points, starts[filled])
        return out

    def contain(self, x_l0: float, y_l0: float) -> NDArray[np.bool_]:
        """Return for each nucleus whether it holds a point.

        A ray from the point to the right crosses the rings of such a nucleus an odd number of times.
        """
        if not len(self.points):
            return np.zeros(len(self), np.bool_)
        here, there = self.points[:-1].astype(np.float64), self.points[1:].astype(np.float64)
        straddles = (here[:, 1] > y_l0) != (there[:, 1] > y_l0)
        # the step from a ring's last point to the next ring's first is no edge
        straddles[self.ring_start[1:-1] - 1] = False
        rise = np.where(straddles, there[:, 1] - here[:, 1], 1.0)
        meets_x = here[:, 0] + (y_l0 - here[:, 1]) / rise * (there[:, 0] - here[:, 0])
        crossings = np.concatenate([[0], np.cumsum(straddles & (meets_x > x_l0)), [0]])
        crossings[-1] = crossings[-2]
        at = crossings[self.ring_start[self.nucleus_start]]
        inside: NDArray[np.bool_] = np.diff(at) % 2 == 1
        return inside


def decoded(column: pa.ChunkedArray | pa.Array) -> NucleusRings:
    """Return the rings of polygons or multi-polygons given as WKB; null gives none.

    Nearly all nuclei are one ring, which is found in the bytes without making an object of each; the others
    go through shapely.

    Parameters
    ----------
    column : pyarrow array of binary, n values
        Outlines as WKB.
    """
    import pyarrow as pa

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    plain, rings = _single_rings(array)
    if len(plain) == len(array):
        return rings
    others = np.setdiff1d(np.arange(len(array)), plain)
    order = np.argsort(np.concatenate([plain, others]))
    return joined([rings, _any_rings(array.take(others).to_numpy(zero_copy_only=False))]).take(order)


def _single_rings(array: pa.Array) -> tuple[Ints, NucleusRings]:
    """Return which values are little-endian polygons of one ring, and these rings."""
    _, offset_buffer, data_buffer = array.buffers()
    ends = np.frombuffer(offset_buffer, np.int32, len(array) + 1, 4 * array.offset).astype(np.int64)
    data = np.frombuffer(data_buffer or b"", np.uint8)[: ends[-1]]
    size = np.diff(ends)
    long_enough = np.flatnonzero(size >= WKB_HEADER)
    header = data[ends[long_enough, None] + np.arange(WKB_HEADER)]
    points = header[:, len(ONE_RING) :].copy().view("<u4")[:, 0].astype(np.int64)
    fits = (header[:, : len(ONE_RING)] == ONE_RING).all(axis=1)
    fits &= size[long_enough] == WKB_HEADER + POINT_BYTES * points
    plain, points = long_enough[fits], points[fits]
    change = np.zeros(len(data) + 1, np.int8)
    change[ends[plain] + WKB_HEADER] += 1
    change[ends[plain + 1]] -= 1
    inside = np.cumsum(change[:-1], dtype=np.int8).view(np.bool_)
    xy = data[inside].view("<f8").reshape(-1, 2).astype(np.float32)
    return plain, NucleusRings(xy, from_counts(points), np.arange(len(plain) + 1))


def _any_rings(wkb: NDArray[Any]) -> NucleusRings:
    import shapely

    polygons = shapely.from_wkb(wkb)
    parts, nucleus = shapely.get_parts(polygons, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    rings_of = np.bincount(nucleus[part], minlength=len(polygons))
    coordinates = shapely.get_coordinates(rings).astype(np.float32)
    return NucleusRings(coordinates, from_counts(shapely.get_num_coordinates(rings)), from_counts(rings_of))


def from_counts(counts: NDArray[Any]) -> Ints:
    """Return where each of several runs starts, and the end of the last."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def ranges(starts: Ints, counts: Ints) -> Ints:
    """Return the numbers start, start + 1, ... of several runs in one array.

    Examples
    --------
    >>> ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total, dtype=np.int64) + np.repeat(starts - ends + counts, counts)


def joined(parts: list[NucleusRings]) -> NucleusRings:
    """Return the rings of several batches one after the other."""
    if len(parts) == 1:
        return parts[0]
    points = np.concatenate([part.points for part in parts]) if parts else np.empty((0, 2), np.float32)
    return NucleusRings(
        points,
        from_counts(np.concatenate([[], *(np.diff(part.ring_start) for part in parts)])),
        from_counts(np.concatenate([[], *(np.diff(part.nucleus_start) for part in parts)])),
    )
