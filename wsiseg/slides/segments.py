"""Tiles and strips of TIFF pages, decoded one by one: a damaged one raises, none is of unchecked size."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.slides.streams import declared_size, has_hole, is_cut_off
from wsiseg.slides.tiff_layout import UnsupportedPageError
from wsiseg.slides.tiff_pixels import BLACK_IS_ZERO, RGB, WHITE_IS_ZERO, YCBCR, as_rgb
from wsiseg.tiles import Box

MAX_SEGMENT_PX = 2**24
MAX_STREAM_BYTES = 2**28
MAX_PAGES = 64
LOST_SHARE = 0.01
SEPARATE = 2
MAX_SAMPLES = 16
JPEG, JPEG_2000, APERIO = {7, 33007}, {33003, 33004, 33005, 34712}, {33003, 33005}
PLAIN = {1: "none", 5: "LZW", 8: "deflate", 32773: "PackBits", 32946: "deflate", 34925: "LZMA", 50000: "Zstd"}
WEBP = {50001}
SIDES = ("imagewidth", "imagelength", "tilewidth", "tilelength", "rowsperstrip")


class SegmentedPage:
    """Random access to one level of 8-bit RGB(A), whose file is shared by several threads.

    Parameters
    ----------
    pages : sequence of tifffile.TiffPage
        The page, or one for each of red, green and blue.
    file_lock : threading.Lock
        Guards the file position, which all pages of a file share.

    Attributes
    ----------
    kept_bytes : int
        What decoded tiles may take that are kept for the next box.
    """

    def __init__(self, pages: Sequence[Any], file_lock: threading.Lock) -> None:
        for each in pages:
            check_page(each)
        page = pages[0]
        if any(_form(each) != _form(page) for each in pages):
            raise UnsupportedPageError("its planes are not of one size and kind")
        self._pages, self._page, self._file_lock = tuple(pages), page, file_lock
        tiled = page.is_tiled
        self.segment_w = int(page.tilewidth if tiled else page.imagewidth)
        self.segment_h = int(page.tilelength if tiled else min(page.rowsperstrip, page.imagelength))
        self.columns = -(-page.imagewidth // self.segment_w)
        self.rows = -(-page.imagelength // self.segment_h)
        # the planes of one picture: pages of their own, or parts of one page, one after the other
        inside = page.samplesperpixel if page.planarconfig == SEPARATE else 1
        self._planes = [(each, k * self.columns * self.rows) for each in pages for k in range(inside)]
        if any(
            min(len(p.dataoffsets), len(p.databytecounts)) < self.columns * self.rows * inside for p in pages
        ):
            raise UnsupportedPageError("its table of tiles is incomplete; the file is damaged or cut off")
        self._cache: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()
        self._cache_lock = threading.Lock()
        self.kept_bytes = 0

    def read(self, box: Box) -> NDArray[np.uint8]:
        """Return the RGB pixels of a box inside the page.

        Raises
        ------
        Exception
            Whatever the decoder raises for a damaged segment.
        """
        out = np.empty((box.height, box.width, 3), np.uint8)
        for row in range(box.y0 // self.segment_h, -(-box.y1 // self.segment_h)):
            for col in range(box.x0 // self.segment_w, -(-box.x1 // self.segment_w)):
                x0, y0 = col * self.segment_w, row * self.segment_h
                part = Box(x0, y0, x0 + self.segment_w, y0 + self.segment_h).clipped(box)
                pixels = self._segment(row, col)
                out[part.slices_in(box)] = pixels[part.slices_in(Box(x0, y0, 0, 0))]
        return out

    def check_inside_file(self) -> None:
        """Refuse a page of which more than a hundredth lies behind the end of the file.

        Raises
        ------
        UnsupportedPageError
            With the last byte it needs.
        """
        ends = np.concatenate(
            [np.add(page.dataoffsets, page.databytecounts, dtype=float) for page in self._pages]
        )
        size = self._page.parent.filehandle.size
        if (ends > size).mean() > LOST_SHARE:
            raise UnsupportedPageError(
                f"its tiles reach to byte {ends.max():.0f}, the file ends at {size}: "
                "it is cut off (an interrupted copy?)"
            )

    @property
    def is_jpeg(self) -> bool:
        """Whether its tiles are JPEG."""
        return self._page.compression in JPEG

    def check_streams(self, box: Box) -> None:
        """Raise if a tile under a box is plainly not whole, without decoding it; see `_checked`."""
        for row in range(box.y0 // self.segment_h, -(-box.y1 // self.segment_h)):
            for col in range(box.x0 // self.segment_w, -(-box.x1 // self.segment_w)):
                for page, first in self._planes:
                    index = first + row * self.columns + col
                    if page.databytecounts[index]:
                        self._checked(page, index)

    def _segment(self, row: int, col: int) -> NDArray[np.uint8]:
        with self._cache_lock:
            if (row, col) in self._cache:
                self._cache.move_to_end((row, col))
                return self._cache[row, col]
        index = row * self.columns + col
        planes = [self._decoded(page, first + index) for page, first in self._planes]
        samples = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=-1)
        pixels = samples if len(self._pages) > 1 else as_rgb(samples, self._page)
        with self._cache_lock:
            self._cache[row, col] = pixels
            while len(self._cache) > max(1, self.kept_bytes // pixels.nbytes):
                self._cache.popitem(last=False)
        return pixels

    def _decoded(self, page: Any, index: int) -> NDArray[np.uint8]:
        separate = page.planarconfig == SEPARATE
        if page.databytecounts[index] == 0:
            # a tile that the scanner never stored is glass
            samples = 1 if separate else page.samplesperpixel
            return np.full((self.segment_h, self.segment_w, samples), 255, np.uint8)
        data = self._checked(page, index)
        decoded, _, _ = page.decode(data, index, jpegtables=page.jpegtables)
        if decoded is None or decoded.dtype != np.uint8:
            raise ValueError(f"tile {index} is not 8-bit")
        pixels: NDArray[np.uint8] = decoded.reshape(decoded.shape[-3:])
        return pixels

    def _checked(self, page: Any, index: int) -> bytes:
        """Return the bytes of a tile as they are stored.

        Raises
        ------
        ValueError
            When they are missing, no picture of the tile's size, cut off or have a hole.
        """
        count = page.databytecounts[index]
        if count > 8 * self.segment_w * self.segment_h + 65536:
            raise ValueError(f"tile {index} claims {count} bytes")
        file = page.parent.filehandle
        with self._file_lock:
            file.seek(page.dataoffsets[index])
            data: bytes = file.read(count)
        if len(data) < count:
            raise ValueError(f"the file ends inside tile {index}")
        if page.compression in JPEG | JPEG_2000:
            width, height = declared_size(data) or (0, 0)
            if not (0 < width <= self.segment_w and 0 < height <= self.segment_h):
                raise ValueError(f"tile {index} is no picture of {self.segment_w} x {self.segment_h} pixels")
            if is_cut_off(data):
                raise ValueError(f"tile {index} is cut off")
            if page.compression in JPEG | APERIO and has_hole(data, width * height):
                raise ValueError(f"tile {index} has a hole (an interrupted copy?)")
        return data


def _form(page: Any) -> tuple[Any, ...]:
    return (
        page.imagewidth,
        page.imagelength,
        page.is_tiled,
        page.tilewidth,
        page.tilelength,
        page.rowsperstrip,
    )


def check_tables(path: str) -> None:
    """Refuse a TIFF with a tile of absurd length: OpenSlide allocates what the table says, and aborts.

    Raises
    ------
    UnsupportedPageError
        With the number of bytes.
    """
    import tifffile

    size, counts = os.path.getsize(path), [0]
    with contextlib.suppress(Exception), tifffile.TiffFile(path) as tiff:
        pages: list[Any] = [page.aspage() for page in tiff.pages[:MAX_PAGES]]
        counts += [max(page.databytecounts, default=0) for page in pages if page.is_tiled]
    if max(counts) > min(size, MAX_STREAM_BYTES):
        raise UnsupportedPageError(f"one of its tiles claims {max(counts)} bytes; the file is damaged")


def check_sides(page: Any) -> None:
    """Refuse a TIFF page with several numbers where one belongs: multiplied, they would fill the memory.

    Raises
    ------
    UnsupportedPageError
        With the name of the field.
    """
    for name in SIDES:
        if not isinstance(getattr(page, name), int):
            raise UnsupportedPageError(f"its header has several numbers for {name}; the file is damaged")


def check_page(page: Any) -> None:
    """Refuse a TIFF page that is not 8-bit RGB, RGBA or grey, or whose tiles cannot be true.

    Raises
    ------
    UnsupportedPageError
        In words.
    """
    check_sides(page)
    kind = getattr(page.photometric, "name", page.photometric)
    if page.bitspersample != 8 or page.dtype != np.uint8:
        raise UnsupportedPageError(f"it has {page.bitspersample} bits per sample ({page.dtype}), not 8")
    samples = page.samplesperpixel
    grey = 1 <= samples <= 2 and page.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO)
    colour = 3 <= samples <= MAX_SAMPLES and page.photometric in (RGB, YCBCR)
    if not (grey or colour):
        raise UnsupportedPageError(f"it is {kind} with {samples} samples per pixel, not RGB")
    codec = page.compression
    if codec not in JPEG | JPEG_2000 | WEBP | PLAIN.keys():
        raise UnsupportedPageError(f"its compression ({getattr(codec, 'name', codec)}) is not supported")
    if page.photometric == YCBCR and codec not in JPEG:
        raise UnsupportedPageError("it is YCbCr without JPEG compression")
    if page.imagedepth != 1:
        raise UnsupportedPageError("it is a volume")
    tiled = page.is_tiled
    width = page.tilewidth if tiled else page.imagewidth
    height = page.tilelength if tiled else min(page.rowsperstrip, page.imagelength)
    if width < 1 or height < 1 or width * height > MAX_SEGMENT_PX:
        what = "tiles" if tiled else "strips"
        raise UnsupportedPageError(
            f"its {what} are {width} x {height} pixels, too large to decode; convert it to a tiled TIFF"
        )
