"""Plain images of a few thousand pixels: PNG, JPEG, BMP, WebP, and TIFF of kinds that are no slides."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import SlideError
from wsiseg.slides import files
from wsiseg.slides.compose import over_white
from wsiseg.slides.facts import Facts
from wsiseg.slides.reader import Slide
from wsiseg.slides.streams import is_cut_off
from wsiseg.slides.tiles import Box

MAX_IMAGE_PX = 80_000_000
MAX_FILE_BYTES = 2**30
BITS_PER_SAMPLE = 258
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "JPEG2000", "PPM", "GIF")


class ImageSlide(Slide):
    """An image that is decoded whole; it has one level and no resolution."""

    reader = "image"

    def _open(self) -> tuple[NDArray[np.uint8], dict[str, str], tuple[str, ...]]:
        from PIL import Image, UnidentifiedImageError

        with files.open_binary(self.path) as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise SlideError(self.path, "too large for a plain image; convert it to a tiled, pyramidal TIFF")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                image = Image.open(io.BytesIO(data), formats=FORMATS)
            except UnidentifiedImageError:
                raise SlideError(self.path, "not a PNG, JPEG, TIFF, BMP, WebP or JPEG 2000 image") from None
            with image:
                width, height = image.size
                if width * height > MAX_IMAGE_PX:
                    raise SlideError(
                        self.path,
                        f"its header promises {width} x {height} pixels; an image without a pyramid may have "
                        f"{MAX_IMAGE_PX // 1_000_000} million",
                    )
                odd = []
                frames = getattr(image, "n_frames", 1)
                if frames > 1:
                    odd.append(f"it has {frames} frames; only the first is read")
                if image.format == "JPEG" and is_cut_off(data):
                    raise SlideError(self.path, "the JPEG is cut off")
                pixels, remark = to_rgb(image, data)
        return pixels, {"image.format": str(image.format), "image.mode": image.mode}, (*odd, *remark)

    def _describe(self, handle: Any) -> Facts:
        pixels, properties, odd = handle
        height, width = pixels.shape[:2]
        return Facts(((width, height),), (1.0,), None, properties, odd)

    def _read(self, box: Box, level: int) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = self._current()[0]
        return pixels[box.slices_in(Box(0, 0, 0, 0))].copy()


def to_rgb(image: Any, data: bytes) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return the pixels of a Pillow image as RGB on white, and remarks about the conversion.

    Parameters
    ----------
    image : PIL.Image.Image
    data : bytes
        The file, for the kinds that Pillow reads with fewer bits.

    Raises
    ------
    ValueError
        For kinds of images that have no meaning as a slide (floats, 32-bit integers).
    """
    deep, remark = _sixteen_bit(image, data), ("16-bit samples were scaled from 0..65535 to 0..255",)
    if deep is not None:
        return deep, remark
    mode = image.mode
    if image.format == "TIFF" and 16 in image.tag_v2.get(BITS_PER_SAMPLE, ()):
        # Pillow keeps the high bytes
        return over_white(np.asarray(image.convert("RGBA"))), remark
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

        return _scaled(imagecodecs.png_decode(data))
    if image.mode.startswith("I;16"):
        return _scaled(np.asarray(image))
    return None


def _scaled(deep: NDArray[Any]) -> NDArray[np.uint8]:
    eight = ((deep.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if eight.ndim == 2 or eight.shape[-1] == 1:
        return np.repeat(eight.reshape(*eight.shape[:2], 1), 3, axis=-1)
    if eight.shape[-1] == 2:
        eight = eight[..., [0, 0, 0, 1]]
    return over_white(eight) if eight.shape[-1] == 4 else eight
