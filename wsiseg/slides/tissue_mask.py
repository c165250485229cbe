"""Tissue as the user drew it: a PNG of the whole slide, or GeoJSON polygons in level-0 pixels."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import UsageError
from wsiseg.slides.facts import one_line
from wsiseg.slides.tissue import Tissue

MAX_MASK_PX = 2**27
MAX_GEOJSON_BYTES = 2**28
ASPECT_TOLERANCE = 0.02


def read_mask(
    path: str, dimensions: tuple[int, int], scale_l0: float, origin_l0: tuple[int, ...] = (0, 0)
) -> Tissue:
    """Read a user's tissue mask.

    Parameters
    ----------
    path : str
        An image with the slide's aspect ratio, where anything but black (and transparent) is tissue, or
        GeoJSON with polygons in level-0 pixels.
    dimensions : (int, int)
        (width, height) of the slide's level 0.
    scale_l0 : float
        Level-0 pixels per mask pixel, for polygons.
    origin_l0 : (int, int)
        Where polygons count from, level-0 (x, y).

    Returns
    -------
    Tissue

    Raises
    ------
    UsageError
        When the file is missing, is neither, or does not fit the slide.
    """
    if not os.path.isfile(path):
        raise UsageError(f"{path}: there is no such tissue mask")
    try:
        with open(path, "rb") as file:
            head = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
        if head.startswith((b"{", b"[")):
            return _from_geojson(path, dimensions, scale_l0, origin_l0)
        return _from_image(path, dimensions)
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read as a tissue mask: {one_line(error)}") from error


def _from_image(path: str, dimensions: tuple[int, int]) -> Tissue:
    import warnings

    from PIL import Image, UnidentifiedImageError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(path)
        except (UnidentifiedImageError, Image.DecompressionBombError):
            raise ValueError("it is neither an image of a reasonable size nor GeoJSON") from None
    with image:
        cols, rows = image.size
        if cols * rows > MAX_MASK_PX:
            raise ValueError(f"it has {cols} x {rows} pixels; a tenth of the slide's size is plenty")
        width, height = dimensions
        if abs((cols / rows) / (width / height) - 1) > ASPECT_TOLERANCE + 1 / min(cols, rows):
            raise UsageError(
                f"{path}: the tissue mask is {cols} x {rows}, the slide {width} x {height}: "
                "their aspect ratios differ by more than 2 %; give a mask of the whole slide"
            )
        if image.mode in ("LA", "PA", "RGBA", "P"):
            rgba = np.asarray(image.convert("RGBA"))
            drawn = np.asarray((rgba[..., :3] > 0).any(-1) & (rgba[..., 3] > 0))
        else:
            samples = np.asarray(image)
            drawn = np.asarray(samples > 0 if samples.ndim == 2 else (samples > 0).any(-1))
    scale_l0 = width / cols
    wanted = max(1, math.ceil(height / scale_l0 - 1e-6))
    # the aspect may differ a little: rows are stretched to the slide
    row = np.minimum(((np.arange(wanted) + 0.5) * scale_l0 / height * rows).astype(np.intp), rows - 1)
    return Tissue(np.ascontiguousarray(drawn[row]), scale_l0)


def _from_geojson(
    path: str, dimensions: tuple[int, int], scale_l0: float, origin_l0: tuple[int, ...]
) -> Tissue:
    import cv2

    if os.path.getsize(path) > MAX_GEOJSON_BYTES:
        raise ValueError("it has over 256 MiB; give outlines of tissue, not of nuclei")
    with open(path, encoding="utf-8-sig") as file:
        polygons = list(_polygons(json.load(file)))
    if not polygons:
        raise ValueError("it holds no polygon")
    width, height = dimensions
    mask = np.zeros((math.ceil(height / scale_l0), math.ceil(width / scale_l0)), np.uint8)
    for rings in polygons:
        lines = [_ring(points, scale_l0, mask.shape, origin_l0) for points in rings]
        cv2.fillPoly(mask_part := np.zeros_like(mask), lines, 1, shift=4)
        mask |= mask_part
    return Tissue(mask.astype(np.bool_), scale_l0)


def _ring(
    points: Any, scale_l0: float, shape: tuple[int, ...], origin_l0: tuple[int, ...]
) -> NDArray[np.int32]:
    xy = np.array([point[:2] for point in points], np.float64)
    if xy.ndim != 2 or xy.shape[1] != 2 or len(xy) < 3 or not np.isfinite(xy).all():
        raise ValueError("a ring is no list of three or more finite points")
    far = 8.0 * max(shape) + 1024
    pixel = np.clip((xy + origin_l0) / scale_l0 - 0.5, -far, far)
    return np.rint(pixel * 16).astype(np.int32)


def _polygons(node: Any) -> Iterator[Any]:
    """Yield the rings of every polygon in a GeoJSON document."""
    if isinstance(node, list):
        for item in node:
            yield from _polygons(item)
        return
    if not isinstance(node, dict):
        raise ValueError("it is not GeoJSON")
    kind = node.get("type")
    if kind == "FeatureCollection":
        yield from _polygons(node.get("features") or [])
    elif kind == "Feature":
        yield from _polygons(node["geometry"]) if node.get("geometry") else ()
    elif kind == "GeometryCollection":
        yield from _polygons(node.get("geometries") or [])
    elif kind == "Polygon":
        yield node["coordinates"]
    elif kind == "MultiPolygon":
        yield from node["coordinates"]
