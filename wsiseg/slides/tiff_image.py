"""TIFFs that are plain images: one picture of any common kind, decoded whole."""

from __future__ import annotations

import io
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.slides.segments import MAX_SAMPLES, check_sides
from wsiseg.slides.streams import declared_size, is_cut_off
from wsiseg.slides.tiff_layout import TiffLayout, read_layout
from wsiseg.slides.tiff_pixels import COLOURS, grey_or_rgb

JPEG = 7
MAX_TILE_PX = 2**24


def read_tiff(data: bytes, most_px: int) -> tuple[NDArray[np.uint8 | np.uint16], str, TiffLayout]:
    """Decode the largest picture of a TIFF.

    Parameters
    ----------
    data : bytes
        The file.
    most_px : int
        Pixels above which it is refused before it is decoded.

    Returns
    -------
    ndarray of uint8 or uint16, (H, W, 1 to 4)
        Grey, grey and alpha, RGB, or RGB and alpha, as stored.
    str
        What kind of TIFF it is.
    TiffLayout
        What else it says.

    Raises
    ------
    Exception
        Whatever is wrong, in words.
    """
    import tifffile

    # what tifffile logs about a damaged file is reported by the errors that follow
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        check_sides(tiff.pages.first)
        layout = read_layout(tiff)
        planes = [decoded(page, data, most_px) for page in layout.levels[0]]
        page = layout.levels[0][0]
        if len(planes) > 1:
            return np.concatenate(planes, axis=-1), "three planes", layout
        colours, alpha = grey_or_rgb(planes[0], page)
        kind = f"{_name(page)} of {page.samplesperpixel} x {page.bitspersample} bits"
        parts = [colours] if alpha is None else [colours, alpha[..., None]]
        return np.concatenate(parts, axis=-1), kind, layout


def decoded(page: Any, data: bytes, most_px: int) -> NDArray[Any]:
    """Return the samples of a page, (H, W, samples) of uint8 or uint16.

    Raises
    ------
    ValueError
        When it is too large, damaged, or of a kind that has no meaning as a slide; in words.
    """
    check_sides(page)
    size = f"{page.imagewidth} x {page.imagelength}"
    if min(page.imagewidth, page.imagelength) < 1:
        raise ValueError(f"its header promises {size} pixels")
    if page.imagewidth * page.imagelength > most_px:
        raise ValueError(f"its header promises {size} pixels; convert it to a tiled, pyramidal TIFF")
    samples, least = page.samplesperpixel, COLOURS.get(page.photometric, MAX_SAMPLES + 1)
    if not least <= samples <= MAX_SAMPLES or page.imagedepth != 1:
        name = f"{_name(page)} of {samples} x {page.bitspersample} bits"
        raise ValueError(f"it is a TIFF of kind {name}; convert it to 8-bit RGB")
    check_segments(page, data)
    pixels = page.asarray(maxworkers=1)
    if page.planarconfig == 2 and samples > 1:
        pixels = np.moveaxis(pixels, 0, -1)
    pixels = pixels.reshape(page.imagelength, page.imagewidth, samples)
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"its samples are {pixels.dtype}; convert it to 8-bit RGB")
    return np.asarray(pixels)


def _name(page: Any) -> str:
    return str(getattr(page.photometric, "name", page.photometric))


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
