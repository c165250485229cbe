"""Which boxes meet a rectangle: boxes sorted into cells, and a bounding box a cell."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.viewer.rings import from_counts, ranges

Ints = NDArray[np.int64]

BOXES_A_CELL = 128


class BoxIndex:
    """Find the boxes that meet a rectangle without looking at all of them.

    Boxes are grouped by the cell of a grid in which their middle lies; a cell knows the box around all of its
    members, so that large ones are found from far away too.

    Parameters
    ----------
    bounds : ndarray of float32, (n, 4)
        x0, y0, x1, y1 of each box; NaN for one that is nowhere.
    """

    def __init__(self, bounds: NDArray[np.float32]) -> None:
        there = np.flatnonzero(~np.isnan(bounds[:, 0]))
        middle = (bounds[there, :2] + bounds[there, 2:]) / 2
        cell = self._cells(middle)
        order = np.argsort(cell, kind="stable")
        starts = np.flatnonzero(np.diff(cell[order], prepend=-1))
        self._rows: Ints = there[order]
        self._bounds = bounds[self._rows]
        self._cell_start = from_counts(np.diff(np.append(starts, len(order))))
        if len(order):
            self._cell_low = np.minimum.reduceat(self._bounds[:, :2], starts)
            self._cell_high = np.maximum.reduceat(self._bounds[:, 2:], starts)
        else:
            self._cell_low = self._cell_high = np.empty((0, 2), np.float32)

    @staticmethod
    def _cells(middle: NDArray[np.floating[Any]]) -> Ints:
        """Return the number of each point's cell; a cell holds BOXES_A_CELL points on average."""
        if not len(middle):
            return np.empty(0, np.int64)
        extent = np.maximum(middle.max(axis=0), 1).astype(np.float64)
        side = np.sqrt(extent.prod() * BOXES_A_CELL / len(middle))
        columns = int(extent[0] / side) + 1
        col, row = np.maximum(middle / side, 0).astype(np.int64).T
        return np.asarray(row * columns + col, np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        arrays = (self._rows, self._bounds, self._cell_start, self._cell_low, self._cell_high)
        return sum(array.nbytes for array in arrays)

    def meeting(self, x0: float, y0: float, x1: float, y1: float) -> Ints:
        """Return the numbers of the boxes that share a point with a rectangle, ascending."""
        low, high = np.array([x0, y0]), np.array([x1, y1])
        cells = np.flatnonzero(((self._cell_low <= high) & (self._cell_high >= low)).all(axis=1))
        members = ranges(self._cell_start[cells], np.diff(self._cell_start)[cells])
        bounds = self._bounds[members]
        hits = ((bounds[:, :2] <= high) & (bounds[:, 2:] >= low)).all(axis=1)
        return np.sort(self._rows[members[hits]])
