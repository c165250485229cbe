"""TIFFs that are plain images: one page of any common kind, decoded whole."""

from __future__ import annotations

import io
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.slides.segments import check_sides
from wsiseg.slides.streams import declared_size, is_cut_off

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
CHANNELS = {WHITE_IS_ZERO: (1, 2), BLACK_IS_ZERO: (1, 2), RGB: (3, 4), PALETTE: (1,), CMYK: (4,), YCBCR: (3,)}
JPEG = 7
MAX_TILE_PX = 2**24


def read_tiff(data: bytes, most_px: int) -> tuple[NDArray[np.uint8 | np.uint16], str, int]:
    """Decode the first page of a TIFF.

    Parameters
    ----------
    data : bytes
        The file.
    most_px : int
        Pixels above which it is refused before it is decoded.

    Returns
    -------
    ndarray of uint8 or uint16, (H, W, 1 to 4)
        Grey, grey and alpha, RGB, or RGB and alpha.
    str
        What kind of TIFF it is.
    int
        How many pages the file has.

    Raises
    ------
    Exception
        Whatever is wrong, in words.
    """
    import tifffile

    # what tifffile logs about a damaged file is reported by the errors that follow
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page: Any = tiff.pages.first
        check_sides(page)
        size = f"{page.imagewidth} x {page.imagelength}"
        if min(page.imagewidth, page.imagelength) < 1:
            raise ValueError(f"its header promises {size} pixels")
        if page.imagewidth * page.imagelength > most_px:
            raise ValueError(f"its header promises {size} pixels; convert it to a tiled, pyramidal TIFF")
        kind, samples = page.photometric, page.samplesperpixel
        name = f"{getattr(kind, 'name', kind)} of {samples} x {page.bitspersample} bits"
        if samples not in CHANNELS.get(kind, ()) or page.imagedepth != 1:
            raise ValueError(f"it is a TIFF of kind {name}; convert it to 8-bit RGB")
        check_segments(page, data)
        pixels = page.asarray(maxworkers=1)
        if page.planarconfig == 2 and samples > 1:
            pixels = np.moveaxis(pixels, 0, -1)
        pixels = pixels.reshape(page.imagelength, page.imagewidth, samples)
        return coloured(pixels, kind, page.colormap), name, len(tiff.pages)


def check_segments(page: Any, data: bytes) -> None:
    """Refuse a page whose strips or tiles are missing or cut off, which decoders fill with something.

    Raises
    ------
    ValueError
        In words.
    """
    if page.is_tiled and page.tilewidth * page.tilelength > MAX_TILE_PX:
        raise ValueError(f"its tiles are {page.tilewidth} x {page.tilelength} pixels, too large to decode")
    width = page.tilewidth if page.is_tiled else page.imagewidth
    height = page.tilelength if page.is_tiled else page.imagelength
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if count == 0 or offset + count > len(data):
            raise ValueError("the TIFF is cut off or damaged")
        if page.compression == JPEG:
            stream = data[offset : offset + count]
            declared = declared_size(stream) or (0, 0)
            if is_cut_off(stream) or not (0 < declared[0] <= width and 0 < declared[1] <= height):
                raise ValueError("a JPEG inside the TIFF is cut off or damaged")


def coloured(pixels: NDArray[Any], kind: int, palette: NDArray[np.uint16] | None) -> NDArray[Any]:
    """Return decoded samples as grey or RGB, with or without alpha, in 8 or 16 bits.

    Raises
    ------
    ValueError
        For samples that are neither.
    """
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"its samples are {pixels.dtype}; convert it to 8-bit RGB")
    if kind == PALETTE and palette is not None:
        colours: NDArray[np.uint8] = (np.moveaxis(palette, 0, -1) >> 8).astype(np.uint8)
        return np.asarray(colours[pixels[..., 0]])
    top = np.iinfo(pixels.dtype).max
    if kind == WHITE_IS_ZERO:
        return np.asarray(np.concatenate([top - pixels[..., :1], pixels[..., 1:]], axis=-1), pixels.dtype)
    if kind == CMYK:
        ink, black = (top - pixels[..., :3]).astype(np.uint32), (top - pixels[..., 3:]).astype(np.uint32)
        return np.asarray((ink * black + top // 2) // top, pixels.dtype)
    return pixels
