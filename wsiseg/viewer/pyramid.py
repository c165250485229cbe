"""The tiles that the browser asks for: each level halves the slide, level 0 has its full resolution."""

from __future__ import annotations

from dataclasses import dataclass

from wsiseg.tiles import Box, Grid

# Tiles of a slide are 256 or 512 px in most files: as many are decoded as are shown, none twice.
TILE_PX = 512


@dataclass(frozen=True)
class Pyramid:
    """Halving levels over a frame of `width` x `height` pixels.

    A pixel of level k covers 2^k x 2^k pixels of the frame.
    """

    width: int
    height: int

    @property
    def levels(self) -> int:
        """Number of levels; the last fits one tile."""
        return max(0, (max(self.width, self.height) - 1) // TILE_PX).bit_length() + 1

    def size(self, level: int) -> tuple[int, int]:
        """Return (width, height) of a level in its own pixels."""
        return -(-self.width >> level), -(-self.height >> level)

    def box(self, level: int, col: int, row: int) -> Box:
        """Return a tile's box in pixels of its level.

        Raises
        ------
        LookupError
            If there is no such tile.
        """
        if not 0 <= level < self.levels:
            raise LookupError(f"no level {level}")
        grid = Grid(*self.size(level), TILE_PX)
        rows, cols = grid.shape
        if not (0 <= row < rows and 0 <= col < cols):
            raise LookupError(f"no tile {col}, {row} in level {level}")
        return grid.tile(row, col).core
