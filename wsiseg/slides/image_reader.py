"""Plain images of a few thousand pixels: PNG, JPEG, BMP, WebP, and TIFF that no other reader takes."""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import SlideError
from wsiseg.slides import containers, files
from wsiseg.slides.compose import over_white
from wsiseg.slides.facts import Facts
from wsiseg.slides.orientation import UPRIGHT, shown_size
from wsiseg.slides.resolution import Statement
from wsiseg.slides.slide import Slide
from wsiseg.slides.streams import is_cut_off
from wsiseg.slides.tiff_image import read_tiff
from wsiseg.tiles import Box

MAX_IMAGE_PX = 80_000_000
MAX_FILE_BYTES = 2**30
MOST = f"the {MAX_IMAGE_PX // 1_000_000} million of an image without a pyramid"
DEEP = "16-bit samples were scaled from 0..65535 to 0..255"
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".jp2", ".j2k", ".ppm", ".pgm", ".gif"),
    *(".tif", ".tiff", ".btf", ".tf2", ".tf8"),
)
EXIF_ORIENTATION = 274
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "JPEG2000", "PPM", "GIF")


@dataclass(frozen=True)
class Picture:
    """An image, decoded, and what it says about itself; pixels are uint8 (H, W, 3), as stored."""

    pixels: NDArray[np.uint8]
    properties: dict[str, str]
    warnings: tuple[str, ...]
    orientation: int = UPRIGHT
    statements: tuple[Statement, ...] = ()


class ImageSlide(Slide):
    """An image that is decoded whole: one level, and a resolution only if it is a TIFF that says it."""

    reader = "image"

    def _open(self) -> Picture:
        from PIL import Image, UnidentifiedImageError

        suffix = containers.suffix_of(self.path)
        if suffix and suffix not in SUFFIXES:
            raise SlideError(self.path, f"a {suffix} is no plain image")

        with files.open_binary(self.path) as file:
            if file.seek(0, os.SEEK_END) > MAX_FILE_BYTES:
                raise SlideError(
                    self.path, "too large for a plain image; convert it to a tiled, pyramidal TIFF"
                )
            file.seek(0)
            data = file.read()
        if data[:4] in TIFF_STARTS:
            # not through Pillow, whose TIFF library writes to the terminal
            samples, kind, layout = read_tiff(data, MAX_IMAGE_PX)
            said = {"image.format": "TIFF", "image.mode": kind}
            deep = (DEEP,) if samples.dtype == np.uint16 else ()
            odd = (*deep, *layout.warnings)
            return Picture(to_eight_bit(samples), said, odd, layout.orientation, layout.statements)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                image = Image.open(io.BytesIO(data), formats=FORMATS)
            except UnidentifiedImageError:
                raise SlideError(self.path, "not a PNG, JPEG, TIFF, BMP, WebP or JPEG 2000 image") from None
            except Image.DecompressionBombError:
                raise SlideError(self.path, f"its header promises more pixels than {MOST}") from None
            with image:
                width, height = image.size
                if width * height > MAX_IMAGE_PX:
                    raise SlideError(
                        self.path,
                        f"its header promises {width} x {height} pixels, more than {MOST}",
                    )
                odd = frames(getattr(image, "n_frames", 1))
                if image.format == "JPEG" and is_cut_off(data):
                    raise SlideError(self.path, "the JPEG is cut off")
                pixels, remark = to_rgb(image, data)
                turn = image.getexif().get(EXIF_ORIENTATION, UPRIGHT)
        said = {"image.format": str(image.format), "image.mode": image.mode}
        return Picture(pixels, said, (*odd, *remark), turn if turn in range(1, 9) else UPRIGHT)

    def _describe(self, handle: Any) -> Facts:
        picture: Picture = handle
        height, width = picture.pixels.shape[:2]
        size = shown_size((width, height), picture.orientation)
        return Facts((size,), picture.statements, picture.properties, picture.warnings, picture.orientation)

    def _read(self, box: Box, level: int) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = self._current().pixels
        return pixels[box.slices_in(Box(0, 0, 0, 0))].copy()


def to_rgb(image: Any, data: bytes) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return the pixels of a Pillow image as RGB on white, and remarks about the conversion.

    Parameters
    ----------
    image : PIL.Image.Image
        An image of any mode.
    data : bytes
        The file, for the kinds that Pillow reads with fewer bits.

    Raises
    ------
    ValueError
        For kinds of images that have no meaning as a slide (floats, 32-bit integers).
    """
    deep = _sixteen_bit(image, data)
    if deep is not None:
        return deep, (DEEP,)
    mode = image.mode
    if mode in ("RGB", "1", "L", "CMYK", "YCbCr", "LAB", "HSV") and "transparency" not in image.info:
        return np.asarray(image.convert("RGB")), ()
    if mode in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX"):
        if mode == "RGBX":
            return np.asarray(image.convert("RGB")), ()
        return over_white(np.asarray(image.convert("RGBA"))), ()
    raise ValueError(f"images of kind {mode} are not supported; convert it to 8-bit RGB")


def _sixteen_bit(image: Any, data: bytes) -> NDArray[np.uint8] | None:
    if image.format == "PNG" and len(data) > 24 and data[24] == 16:
        import imagecodecs

        return to_eight_bit(imagecodecs.png_decode(data))
    if image.mode.startswith("I;16"):
        return to_eight_bit(np.asarray(image))
    return None


def frames(count: int) -> tuple[str, ...]:
    """Return the remark on an image of several frames or pages."""
    return (f"it has {count} frames; only the first is read",) if count > 1 else ()


def to_eight_bit(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Return grey or RGB samples of 8 or 16 bits, with or without alpha, as RGB on white."""
    if samples.dtype == np.uint16:
        samples = (samples.astype(np.uint32) * 255 + 32767) // 65535
    eight = samples.astype(np.uint8).reshape(*samples.shape[:2], -1)
    if eight.shape[-1] < 3:
        eight = np.concatenate([np.repeat(eight[..., :1], 3, axis=-1), eight[..., 1:]], axis=-1)
    return over_white(eight) if eight.shape[-1] == 4 else eight
