"""Leica SCN files: a scan somewhere on a slide whose overview is the first image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

Rect = tuple[int, int, int, int]


def write_scn(
    path: Path, scan: NDArray[np.uint8], at: tuple[int, int], slide: tuple[int, int], mpp: float
) -> Path:
    """Write a scan that begins at (x, y) of a slide of (width, height), all in pixels of the scan."""
    height, width = scan.shape[:2]
    small = np.full((slide[1] // 10, slide[0] // 10, 3), 240, np.uint8)
    images = _image(0, (0, 0, *slide), small.shape, mpp, 0.6) + _image(
        1, (*at, width, height), scan.shape, mpp, 20
    )
    size = f'sizeX="{_nm(slide[0], mpp)}" sizeY="{_nm(slide[1], mpp)}"'
    text = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01" uuid="u">'
        f'<collection name="c" uuid="urn:uuid:1" {size}><barcode>MQ==</barcode>{images}</collection></scn>'
    )
    plain = {"photometric": "rgb", "tile": (256, 256), "compression": "deflate", "metadata": None}
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for pixels, um, said in ((small, 10 * mpp, text), (scan, mpp, None)):
            dots = {"resolution": (1e4 / um, 1e4 / um), "resolutionunit": "CENTIMETER"}
            tiff.write(pixels, description=said, **dots, **plain)
    return path


def _nm(pixels: float, mpp: float) -> int:
    return round(pixels * mpp * 1000)


def _image(number: int, place: Rect, shape: tuple[int, ...], mpp: float, power: float) -> str:
    x, y, width, height = (_nm(value, mpp) for value in place)
    size = f'sizeX="{shape[1]}" sizeY="{shape[0]}"'
    return (
        f'<image name="i{number}" uuid="u{number}"><creationDate>2020-01-01T00:00:00Z</creationDate>'
        f'<device model="m" version="1"/><pixels {size}><dimension {size} r="0" ifd="{number}"/></pixels>'
        f'<view sizeX="{width}" sizeY="{height}" offsetX="{x}" offsetY="{y}" spacingZ="0"/><scanSettings>'
        f"<objectiveSettings><objective>{power}</objective></objectiveSettings><illuminationSettings>"
        "<numericalAperture>0.4</numericalAperture><illuminationSource>brightfield</illuminationSource>"
        "</illuminationSettings></scanSettings></image>"
    )
