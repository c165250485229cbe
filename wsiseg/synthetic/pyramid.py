"""The levels of a slide while it streams by: each makes tiles of its rows and averages them for the next."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO

import imagecodecs
import numpy as np
import numpy.typing as npt

from wsiseg.synthetic.jit import jit

Pixels = npt.NDArray[np.uint8]


class Encoder:
    """JPEG tiles from rows of pixels, on a pool of threads."""

    def __init__(self, pool: ThreadPoolExecutor, tile_px: int, quality: int) -> None:
        self.pool = pool
        self.tile_px = tile_px
        self.quality = quality

    def tiles(self, rows: Pixels) -> Iterator[bytes]:
        """Yield the tiles of one row of tiles, from the left; at the edges the last pixel is repeated."""
        return self.pool.map(lambda x0: self._encode(rows, x0), range(0, rows.shape[1], self.tile_px))

    def _encode(self, rows: Pixels, x0: int) -> bytes:
        tile = rows[:, x0 : x0 + self.tile_px]
        if tile.shape[:2] != (self.tile_px, self.tile_px):
            missing = (self.tile_px - tile.shape[0], self.tile_px - tile.shape[1])
            tile = np.pad(tile, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        return bytes(
            imagecodecs.jpeg8_encode(
                np.ascontiguousarray(tile),
                self.quality,
                colorspace="rgb",
                outcolorspace="ycbcr",
                subsampling="420",
            )
        )


class Level:
    """One level of the pyramid while it is written: it takes rows, gives tiles, and feeds the level below."""

    def __init__(
        self,
        width: int,
        height: int,
        encoder: Encoder,
        spool: IO[bytes] | None,
        below: Level | Thumbnail,
        ratio_below: int,
    ) -> None:
        self.width = width
        self.height = height
        self._encoder = encoder
        self._spool = spool
        self._sizes: list[int] = []
        self._below = below
        self._for_tiles = _Rows(encoder.tile_px, height)
        self._for_below = _Rows(ratio_below, height)
        self._ratio_below = ratio_below

    def push(self, rows: Pixels) -> Iterator[bytes]:
        """Take the next rows; yield the tiles that became complete, unless they go to the spool."""
        for ready in self._for_below.push(rows, whole=True):
            for _ in self._below.push(shrink(ready, self._ratio_below)):
                pass
        for tile_row in self._for_tiles.push(rows, whole=False):
            for tile in self._encoder.tiles(tile_row):
                if self._spool is None:
                    yield tile
                else:
                    self._spool.write(tile)
                    self._sizes.append(len(tile))

    def spooled(self) -> Iterator[bytes]:
        """Yield the tiles back from the spool."""
        assert self._spool is not None
        self._spool.seek(0)
        for size in self._sizes:
            yield self._spool.read(size)


class _Rows:
    """Rows of pixels waiting until there are `count` of them, or the last row has come."""

    def __init__(self, count: int, height: int) -> None:
        self._count = count
        self._to_come = height
        self._waiting: Pixels | None = None

    def push(self, rows: Pixels, whole: bool) -> Iterator[Pixels]:
        """Yield pieces of `count` rows, or all whole ones as one piece if `whole`; at the end the rest."""
        self._to_come -= rows.shape[0]
        if self._waiting is not None:
            rows = np.concatenate([self._waiting, rows])
        full = rows.shape[0] if self._to_come == 0 else rows.shape[0] // self._count * self._count
        step = max(full, 1) if whole else self._count
        for start in range(0, full, step):
            yield rows[start : min(start + step, full)]
        self._waiting = rows[full:].copy() if full < rows.shape[0] else None


class Thumbnail:
    """The end of the chain: a small image, kept whole."""

    def __init__(self) -> None:
        self._pieces: list[Pixels] = []

    def push(self, rows: Pixels) -> Iterator[bytes]:
        """Keep the rows."""
        self._pieces.append(rows)
        return iter(())

    def image(self) -> Pixels:
        """Return what came."""
        return np.concatenate(self._pieces)


@jit
def _shrink(rows: Pixels, ratio: int, out: Pixels) -> None:
    height, width, _ = rows.shape
    for row in range(out.shape[0]):
        y1 = min((row + 1) * ratio, height)
        for col in range(out.shape[1]):
            x1 = min((col + 1) * ratio, width)
            r = g = b = 0
            for y in range(row * ratio, y1):
                for x in range(col * ratio, x1):
                    r += rows[y, x, 0]
                    g += rows[y, x, 1]
                    b += rows[y, x, 2]
            n = (y1 - row * ratio) * (x1 - col * ratio)
            out[row, col, 0] = (r + n // 2) // n
            out[row, col, 1] = (g + n // 2) // n
            out[row, col, 2] = (b + n // 2) // n


def shrink(rows: Pixels, ratio: int) -> Pixels:
    """Average squares of `ratio` pixels, those at the right and lower edge over what is there."""
    height, width, _ = rows.shape
    out = np.empty((-(-height // ratio), -(-width // ratio), 3), np.uint8)
    _shrink(rows, ratio, out)
    return out
