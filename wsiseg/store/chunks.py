"""The files of a store's arrays, read and written directly: a third of the processor time that Zarr takes.

For arrays as `layout` makes them: two axes, little-endian, fill value 0, zstd, either chunks or square
shards of chunks with the index at their end. To Zarr they are arrays like any other.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import google_crc32c
import numpy as np
import numpy.typing as npt
from numcodecs.zstd import Zstd

from wsiseg.store.states import State
from wsiseg.tiles import Box

if TYPE_CHECKING:
    import zarr

LEVEL = 1
ABSENT = np.iinfo(np.uint64).max
CHECKSUM_BYTES = 4

_zstd = Zstd(level=LEVEL)


@dataclass(frozen=True)
class ChunkFiles:
    """The files of one array; each holds a square of `file_px` pixels, made of chunks of `chunk_px`.

    Parameters
    ----------
    folder : Path
        The array's.
    shape : tuple of int
        Rows and columns.
    dtype : dtype
        Of the values.
    file_px, chunk_px : int
        Sides of a file and of a chunk.
    """

    folder: Path
    shape: tuple[int, ...]
    dtype: npt.DTypeLike
    file_px: int
    chunk_px: int

    @classmethod
    def of(cls, folder: Path, array: zarr.Array[Any]) -> ChunkFiles:
        """Return the files of an array in a folder."""
        chunk_px = int(array.chunks[0])
        return cls(
            folder, array.shape, array.dtype, int(array.shards[0]) if array.shards else chunk_px, chunk_px
        )

    @property
    def frame(self) -> Box:
        """The whole image."""
        height, width = self.shape
        return Box(0, 0, width, height)

    def write(self, row: int, col: int, values: npt.NDArray[Any]) -> None:
        """Write one file, whole; `values` may end at the array's end, and background is not stored."""
        parts = [self._packed(values, y, x) for y, x in self._places]
        path = _file(self.folder, row, col)
        if not any(parts):
            path.unlink(missing_ok=True)
            return
        if self._is_sharded:
            parts.append(_index(parts))
        _put(path, parts)

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Return the values of a box inside the array; 0 where there is no file.

        Raises
        ------
        ValueError
            If the box is not inside, or an index is damaged.
        RuntimeError
            If a chunk is damaged.
        """
        if box != box.clipped(self.frame):
            raise ValueError(f"{self.folder}: {box} is not inside {self.shape}")
        found = np.zeros((box.height, box.width), self.dtype)
        px = self.file_px
        for row in range(box.y0 // px, -(-box.y1 // px)):
            for col in range(box.x0 // px, -(-box.x1 // px)):
                self._read_file(row, col, box, found)
        return found

    @property
    def _is_sharded(self) -> bool:
        return self.file_px > self.chunk_px

    @cached_property
    def _places(self) -> list[tuple[int, int]]:
        """First row and column of each chunk in a file, in the order of the index."""
        starts = range(0, self.file_px, self.chunk_px)
        return [(y, x) for y in starts for x in starts]

    def _packed(self, values: npt.NDArray[Any], y: int, x: int) -> bytes:
        """Return a chunk of a file's values, compressed; nothing for background."""
        px = self.chunk_px
        part = values[y : y + px, x : x + px]
        if not part.any():
            return b""
        if part.shape != (px, px):
            part = np.pad(part, [(0, px - side) for side in part.shape])
        packed: bytes = _zstd.encode(np.ascontiguousarray(part, self.dtype))
        return packed

    def _read_file(self, row: int, col: int, box: Box, out: npt.NDArray[Any]) -> None:
        """Copy what a file holds of a box."""
        try:
            data = memoryview(_file(self.folder, row, col).read_bytes())
        except FileNotFoundError:
            return
        spans = self._spans(data)
        for (y, x), (start, length) in zip(self._places, spans, strict=True):
            y0, x0 = row * self.file_px + y, col * self.file_px + x
            shared = Box(x0, y0, x0 + self.chunk_px, y0 + self.chunk_px).clipped(box)
            if start == ABSENT or shared.width <= 0 or shared.height <= 0:
                continue
            chunk = np.empty((self.chunk_px, self.chunk_px), self.dtype)
            _zstd.decode(data[start : start + length], out=chunk)
            out[shared.slices_in(box)] = chunk[shared.slices_in(Box(x0, y0, x0, y0))]

    def _spans(self, data: memoryview) -> list[list[int]]:
        """Return start and length of each chunk in a file."""
        if not self._is_sharded:
            return [[0, len(data)]]
        index = data[-16 * len(self._places) - CHECKSUM_BYTES : -CHECKSUM_BYTES]
        if _checksum(index) != data[-CHECKSUM_BYTES:]:
            raise ValueError(f"{self.folder}: the index of a shard is damaged")
        spans: list[list[int]] = np.frombuffer(index, "<u8").reshape(-1, 2).tolist()
        return spans


def _index(parts: list[bytes]) -> bytes:
    """Return the index of a shard: where each chunk starts and how long it is, and a checksum."""
    spans = np.full((len(parts), 2), ABSENT, "<u8")
    start = 0
    for number, part in enumerate(parts):
        if part:
            spans[number] = start, len(part)
            start += len(part)
    index = spans.tobytes()
    return index + _checksum(index)


def _checksum(data: bytes | memoryview) -> bytes:
    return int(google_crc32c.value(bytes(data))).to_bytes(CHECKSUM_BYTES, "little")


@dataclass(frozen=True)
class StateFiles:
    """One state per place, each in a file of its own, so that two workers never write the same file.

    Parameters
    ----------
    folder : Path
        The array's; its chunks are of one element and not compressed.
    shape : tuple of int
        Rows and columns.
    """

    folder: Path
    shape: tuple[int, ...]

    def all(self) -> npt.NDArray[np.uint8]:
        """Return all states, uint8 of shape (rows, columns); `State.TODO` where there is no file."""
        found = np.zeros(self.shape, np.uint8)
        for row in _numbered(self.folder / "c"):
            for col in _numbered(row):
                found[int(row.name), int(col.name)] = _one_byte(col)
        return found

    def at(self, row: int, col: int) -> State:
        """Return the state of one place."""
        try:
            return State(_one_byte(_file(self.folder, row, col)))
        except FileNotFoundError:
            return State.TODO

    def mark(self, row: int, col: int, state: State) -> None:
        """Set the state of one place, which is not TODO."""
        _put(_file(self.folder, row, col), [bytes([state])])


def _file(folder: Path, row: int, col: int) -> Path:
    """Return where Zarr keeps a chunk of an array."""
    return folder / "c" / str(row) / str(col)


def _one_byte(path: Path) -> int:
    (value,) = path.read_bytes()
    return value


def _put(path: Path, parts: list[bytes]) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Zarr would use the same name, so that leftovers of a killed run can be recognised.
    beside = path.with_suffix(f".{uuid4().hex}.partial")
    try:
        with beside.open("wb") as file:
            file.writelines(parts)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _numbered(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder) if name.isdigit()]
    except FileNotFoundError:
        return []
