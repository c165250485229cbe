"""Tiles: the one place for tile arithmetic.

A `Grid` cuts a frame (a slide seen at one resolution, in pixels of that resolution) into square cores
that touch and never overlap. What must be read to compute a core follows from its cause (`Box.grown`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Box(NamedTuple):
    """A half-open rectangle of pixels, x0 <= x < x1 and y0 <= y < y1, in the pixels of some frame."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """Columns of the box."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Rows of the box."""
        return self.y1 - self.y0

    @property
    def is_empty(self) -> bool:
        """Whether the box holds no pixel."""
        return self.x1 <= self.x0 or self.y1 <= self.y0

    def grown(self, margin_px: int) -> Box:
        """Return the box with a margin on all four sides."""
        return Box(self.x0 - margin_px, self.y0 - margin_px, self.x1 + margin_px, self.y1 + margin_px)

    def clipped(self, other: Box) -> Box:
        """Return what the two boxes share (empty where they do not meet)."""
        return Box(
            max(self.x0, other.x0), max(self.y0, other.y0), min(self.x1, other.x1), min(self.y1, other.y1)
        )

    def halved(self) -> Box:
        """Return the box, in pixels of twice the size, that holds every pixel of this one."""
        return Box(self.x0 // 2, self.y0 // 2, -(-self.x1 // 2), -(-self.y1 // 2))

    def slices_in(self, outer: Box) -> tuple[slice, slice]:
        """Return the (row, col) slices of this box in an array that covers `outer`."""
        return (
            slice(self.y0 - outer.y0, self.y1 - outer.y0),
            slice(self.x0 - outer.x0, self.x1 - outer.x0),
        )


class Tile(NamedTuple):
    """One core of a grid, clipped to the frame; `row` and `col` count cores from the top left."""

    row: int
    col: int
    core: Box


@dataclass(frozen=True)
class Grid:
    """Square cores of `core_px` over a frame of `width` x `height` pixels.

    The grid is anchored to the frame's top left corner; the cores of the last row and column are clipped.
    """

    width: int
    height: int
    core_px: int

    @property
    def frame(self) -> Box:
        """The whole frame."""
        return Box(0, 0, self.width, self.height)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cores."""
        return -(-self.height // self.core_px), -(-self.width // self.core_px)

    def tile(self, row: int, col: int) -> Tile:
        """Return the tile at a row and column of the grid."""
        x0, y0 = col * self.core_px, row * self.core_px
        return Tile(row, col, Box(x0, y0, x0 + self.core_px, y0 + self.core_px).clipped(self.frame))

    def __iter__(self) -> Iterator[Tile]:
        rows, cols = self.shape
        for row in range(rows):
            for col in range(cols):
                yield self.tile(row, col)

    def meeting(self, box: Box) -> Iterator[Tile]:
        """Yield the tiles whose core shares a pixel with `box`."""
        box = box.clipped(self.frame)
        if box.is_empty:
            return
        for row in range(box.y0 // self.core_px, -(-box.y1 // self.core_px)):
            for col in range(box.x0 // self.core_px, -(-box.x1 // self.core_px)):
                yield self.tile(row, col)
