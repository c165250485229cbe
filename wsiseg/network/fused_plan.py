"""The order in which the fused kernel computes rows, and the rows each step reads.

A step makes rows r, r + d, r + 2 d and r + 3 d of a convolution of dilation d, from rows r - d to r + 4
d. Rows of one residue modulo d depend on each other alone, so each residue is gone through by itself: a
ring of eight rows then holds what the second convolution of a pair needs of the first, and it adds to the
first one's input in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from wsiseg.network.lanes import LANES, TILE_PX

Ints = npt.NDArray[np.int64]

# Rows that a step makes, and the rows it sees.
MADE, SEEN = 4, 6
RING = 2 * MADE
# The row of memory that stays zero: what lies outside of the window.
ZERO_ROW = 0
# The stem's input lies this many rows behind its output, which so never overtakes it.
INPUT_BEHIND = 1
COLOURS = 3
_CACHE_LINE_FLOATS = 16
# A step: its layer, the first row that it makes, and the rows that it sees.
LAYER, TO, FROM = 0, 1, 2


@dataclass(frozen=True)
class Plan:
    """The rows of memory and the steps that compute part of a window.

    Memory is a row of zeros, the window's rows, room for rows that a last step makes in vain, and the ring. A
    row is (channel, column), its pixels begin at column `left`.

    Parameters
    ----------
    rows, cols, left : int
        Rows of memory, columns of a row with the zeros on both sides, zeros on the left.
    steps : ndarray of int64, (n, 2 + SEEN)
        Columns LAYER, TO and FROM.
    layers : ndarray of int64, (layers, 4)
        Dilation, first and last column (exclusive), rows between two rows that are made.
    """

    rows: int
    cols: int
    left: int
    steps: Ints
    layers: Ints


@lru_cache(maxsize=32)
def plan(height: int, width: int, inner: tuple[int, int, int, int], dilations: tuple[int, ...]) -> Plan:
    """Return how to compute the rows and columns `inner` (top, bottom, left, right) of a window.

    Parameters
    ----------
    height, width : int
        Size of the window in pixels.
    inner : tuple of int
        First and last (exclusive) row, then column.
    dilations : tuple of int
        Of the residual pairs behind the stem.
    """
    reach = max(dilations)
    left = _rounded(reach)
    # An odd number of cache lines, so that the channels of a pixel do not fall on one place of the cache.
    cols = ((left + width + TILE_PX + left) // _CACHE_LINE_FLOATS | 1) * _CACHE_LINE_FLOATS
    ring = 1 + height + MADE * reach + INPUT_BEHIND

    def area(margin: int) -> tuple[int, int, int, int]:
        top, bottom, begin, end = inner
        return (
            max(0, top - margin), min(height, bottom + margin),
            left + max(0, begin - margin) // LANES * LANES, left + min(width, end + margin),
        )  # fmt: skip

    margin = 2 * sum(dilations)
    top, bottom, begin, end = area(margin)
    layers, steps = [[1, begin, end, 1]], [_stem(top, bottom, area(margin + 1)[:2])]
    there = top, bottom
    for dilation in dilations:
        first, second = area(margin - dilation), area(margin - 2 * dilation)
        layers += [[dilation, *first[2:], 1], [dilation, *second[2:], dilation]]
        margin -= 2 * dilation
        top, bottom = second[:2]
        for residue in range(min(dilation, bottom - top)):
            rows = top + residue, bottom
            steps.append(_pair(len(layers) - 2, dilation, there, first[:2], rows, ring))
        there = top, bottom
    return Plan(ring + RING, cols, left, np.concatenate(steps), np.array(layers))


def _rounded(columns: int) -> int:
    return -(-columns // LANES) * LANES


def _steps(layer: int, to: Ints, rows: Ints) -> Ints:
    return np.column_stack([np.full(len(to), layer), to, rows])


def _seen(first: Ints, dilation: int, there: Sequence[int], memory: Ints) -> Ints:
    """Return `memory` (n, SEEN), but ZERO_ROW where a row of the window, from `first` (n,) on, is not there.

    What lies in memory instead would not cancel to the last bit.
    """
    rows = first[:, None] + dilation * np.arange(SEEN)
    return np.where((rows >= there[0]) & (rows < there[1]), memory, ZERO_ROW)


def _stem(top: int, bottom: int, there: Sequence[int]) -> Ints:
    rows = np.arange(top, bottom, MADE)
    memory = rows[:, None] + np.arange(SEEN) + INPUT_BEHIND
    return _steps(0, 1 + rows, _seen(rows - 1, 1, there, memory))


def _pair(
    layer: int, dilation: int, there: Sequence[int], made: Sequence[int], wanted: Sequence[int], ring: int
) -> Ints:
    """Return the steps of two layers for the rows of one residue; the first is a step ahead of the second.

    Rows, from a first to a last (exclusive), are `there`, `made` by the first layer, and `wanted`.
    """
    top, bottom = wanted
    count = -(-(bottom - top) // (MADE * dilation))
    nth = np.arange(count + 1)
    ahead = top + (MADE * nth - 2) * dilation
    memory = 1 + ahead[:, None] + dilation * np.arange(SEEN)
    first = _steps(layer, ring + MADE * nth % RING, _seen(ahead, dilation, there, memory))
    nth, rows = nth[:-1], top + MADE * nth[:-1] * dilation
    memory = ring + (MADE * nth[:, None] + np.arange(SEEN)) % RING
    second = _steps(layer + 1, 1 + rows, _seen(rows - dilation, dilation, made, memory))
    return np.concatenate([first[:1], np.stack([first[1:], second], 1).reshape(2 * count, -1)])
