"""Small slides for the tests of this room: pictures with known pixels, written as files of many kinds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return smooth coloured noise, (height, width, 3), without symmetry."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 250, (height // 16 + 2, width // 16 + 2, 3)).astype(np.float64)
    y, x = np.arange(height) / 16, np.arange(width) / 16
    y0, x0 = y.astype(int), x.astype(int)
    fy, fx = (y - y0)[:, None, None], (x - x0)[None, :, None]
    top = coarse[y0][:, x0] * (1 - fx) + coarse[y0][:, x0 + 1] * fx
    low = coarse[y0 + 1][:, x0] * (1 - fx) + coarse[y0 + 1][:, x0 + 1] * fx
    return np.ascontiguousarray(np.rint(top * (1 - fy) + low * fy).astype(np.uint8))


def halved(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return block means, with rows and columns that do not fill a block cut off."""
    height, width = (n // factor for n in pixels.shape[:2])
    blocks = pixels[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return np.rint(blocks.mean((1, 3))).astype(np.uint8)


def write_svs(
    path: Path,
    pixels: NDArray[np.uint8],
    factors: Sequence[int] = (4,),
    mpp: object = 0.25,
    compression: str | None = "jpeg",
    tile: int = 256,
) -> list[NDArray[np.uint8]]:
    """Write an Aperio-like pyramid and return its levels as they were given to the encoder."""
    levels = [pixels] + [halved(pixels, factor) for factor in factors]
    said = "" if mpp is None else f"|MPP = {mpp}"
    text = (
        f"Aperio Image Library v12.0\n{pixels.shape[1]}x{pixels.shape[0]} ({tile}x{tile})|AppMag = 40{said}"
    )
    options = {"photometric": "rgb", "compression": compression, "metadata": None}
    if compression == "jpeg":
        options["compressionargs"] = {"level": 90}
    with tifffile.TiffWriter(path) as writer:
        writer.write(levels[0], tile=(tile, tile), description=text, **options)
        # OpenSlide reads JPEG 2000 in levels only
        small = "jpeg" if str(compression).startswith("aperio") else compression
        thumbnail = options | {"compression": small}
        writer.write(halved(pixels, 8), rowsperstrip=16, description=text, **thumbnail)
        for level in levels[1:]:
            writer.write(level, tile=(tile, tile), description=text, **options)
    return levels


def write_tiff(path: Path, pixels: NDArray[np.generic], tile: int | None = 128, **options: object) -> None:
    """Write a plain TIFF of one page."""
    extra = {} if tile is None else {"tile": (tile, tile)}
    with tifffile.TiffWriter(path) as writer:
        writer.write(pixels, metadata=None, **extra, **options)
