"""Labels stored as outlines: MoNuSeg's ImageScope XML and QuPath's GeoJSON, painted into a label image."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsiseg.errors import LabelError
from wsiseg.evaluation.label_images import check_size

Ring = npt.NDArray[np.float64]
# One nucleus: polygons, each its outer ring and then its holes; a ring is (n, 2) of (x, y).
Outline = tuple[tuple[Ring, ...], ...]
Shape = tuple[int, int]

MAX_FILE_BYTES = 1 << 30
PIXEL_CENTRE = 0.5


def paint(outlines: Sequence[Outline], shape: Shape) -> npt.NDArray[np.int32]:
    """Paint outlines 1..n into an image; where they overlap the first keeps the pixel.

    Parameters
    ----------
    outlines : sequence of Outline
        In level-0 pixels, (x, y); whole numbers are pixel corners.
    shape : (int, int)
        Rows and columns; what lies outside is cut off.

    Returns
    -------
    int32 (H, W)
        0 is background, k the k-th outline.
    """
    image = np.zeros(shape, np.int32)
    for number, outline in enumerate(outlines, start=1):
        for rings in outline:
            window, inside = _inside(rings, shape)
            target = image[window]
            target[inside & (target == 0)] = number
    return image


def _inside(rings: Sequence[Ring], shape: Shape) -> tuple[tuple[slice, slice], npt.NDArray[np.bool_]]:
    """Return the window of a polygon's bounding box and which of its pixels lie inside."""
    from skimage.draw import polygon

    outer = rings[0] - PIXEL_CENTRE
    x0, y0 = (max(0, math.floor(v)) for v in outer.min(axis=0))
    x1, y1 = (
        min(size, math.floor(v) + 1) for size, v in zip(reversed(shape), outer.max(axis=0), strict=True)
    )
    window = (slice(y0, max(y0, y1)), slice(x0, max(x0, x1)))
    inside = np.zeros((max(0, y1 - y0), max(0, x1 - x0)), bool)
    if inside.size:
        for ring, value in zip(rings, [True] + [False] * (len(rings) - 1), strict=True):
            rows, cols = polygon(ring[:, 1] - PIXEL_CENTRE - y0, ring[:, 0] - PIXEL_CENTRE - x0, inside.shape)
            inside[rows, cols] = value
    return window, inside


def _finished(file: Path, outlines: list[Outline], shape: Shape | None) -> npt.NDArray[np.int32]:
    """Check that the outlines belong to the image, and paint them."""
    corners = [ring for outline in outlines for rings in outline for ring in rings[:1]]
    if shape is None:
        far = np.max([ring.max(axis=0) for ring in corners], axis=0) if corners else np.zeros(2)
        shape = (max(1, math.ceil(far[1]) + 1), max(1, math.ceil(far[0]) + 1))
        check_size(file, shape)
    image = paint(outlines, shape)
    size = (shape[1], shape[0])
    outside = sum(bool((ring.max(axis=0) < 0).any() or (ring.min(axis=0) > size).any()) for ring in corners)
    if outside * 2 > len(corners):
        raise LabelError(
            f"{file}: {outside} of {len(corners)} outlines lie outside an image of {size[0]} x {size[1]} px; "
            "these are labels of another image, or in other units than its pixels"
        )
    return image


def read_xml(file: Path, shape: Shape | None) -> npt.NDArray[np.int32]:
    """Paint the regions of an ImageScope XML, whose whole numbers are pixel corners (docs/accuracy.md).

    Negative regions are cut out of all others; fewer than three vertices are no region.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import parse

    _check_bytes(file)
    try:
        root = parse(file).getroot()
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise LabelError(f"{file}: not a readable XML file: {error}") from error
    if root is None or root.tag != "Annotations":
        raise LabelError(f"{file}: not an annotation of ImageScope (no <Annotations>); give MoNuSeg's XML")
    outlines: list[Outline] = []
    cuts: list[Outline] = []
    for region in root.iter("Region"):
        try:
            ring = np.array([(float(v.attrib["X"]), float(v.attrib["Y"])) for v in region.iter("Vertex")])
        except (KeyError, ValueError):
            raise LabelError(f"{file}: a region with a vertex without numbers X and Y") from None
        if len(ring) < 3:
            continue
        _check_finite(file, ring)
        (cuts if region.get("NegativeROA") == "1" else outlines).append(((ring,),))
    image = _finished(file, outlines, shape)
    if cuts:
        image[paint(cuts, (image.shape[0], image.shape[1])) > 0] = 0
    return image


def read_geojson(file: Path, shape: Shape | None) -> npt.NDArray[np.int32]:
    """Paint the polygons of a GeoJSON file of QuPath or wsiseg.

    Where there are detections or cells, annotations (such as outlines of the tissue) are left out; of a cell
    with a nucleus the nucleus is taken. What wsiseg wrote with ``--origin scan`` is put back to where it is
    on the slide.
    """
    features, origin = _features(file)
    kinds = [_properties(feature).get("objectType") for feature in features]
    if any(kind in ("detection", "cell") for kind in kinds):
        features = [f for f, kind in zip(features, kinds, strict=True) if kind != "annotation"]
    outlines = [o for f in features if (o := _outline(file, f.get("nucleusGeometry") or f.get("geometry")))]
    if features and not outlines:
        raise LabelError(
            f"{file}: no polygons among its {len(features)} features; nuclei are given as polygons"
        )
    if origin != (0, 0):
        outlines = [tuple(tuple(ring + origin for ring in part) for part in o) for o in outlines]
    return _finished(file, outlines, shape)


def _features(file: Path) -> tuple[list[dict[str, Any]], tuple[int, int]]:
    """Return the features of a file, and where on the slide its coordinates count from."""
    _check_bytes(file)
    try:
        if file.name.lower().endswith(".gz"):
            with gzip.open(file) as packed:
                # a read of many bytes allocates them all at once
                pieces = iter(lambda: packed.read(1 << 20), b"")
                data = b"".join(islice(pieces, (MAX_FILE_BYTES >> 20) + 1))
        else:
            data = file.read_bytes()
        if len(data) > MAX_FILE_BYTES:
            raise LabelError(
                f"{file}: more than {MAX_FILE_BYTES >> 20} MiB of GeoJSON; give fields, not slides"
            )
        top = json.loads(data)
    except (ValueError, EOFError, gzip.BadGzipFile, RecursionError) as error:
        raise LabelError(f"{file}: not a readable GeoJSON file: {error}") from error
    origin = _origin(top)
    if isinstance(top, dict) and top.get("type") == "Feature":
        top = [top]
    elif isinstance(top, dict) and top.get("type") == "FeatureCollection":
        top = top.get("features")
    if not isinstance(top, list) or not all(isinstance(feature, dict) for feature in top):
        raise LabelError(f"{file}: no GeoJSON features; give a FeatureCollection as QuPath exports it")
    return top, origin


def _origin(top: Any) -> tuple[int, int]:
    """Return where on the slide coordinates count from, as the first line of our own files says it."""
    said = top.get("wsiseg") if isinstance(top, dict) else None
    if not isinstance(said, dict) or said.get("origin") != "scan":
        return 0, 0
    try:
        x, y = said["scan_l0"][:2]
        return int(x), int(y)
    except (KeyError, TypeError, ValueError):
        return 0, 0


def _properties(feature: dict[str, Any]) -> dict[str, Any]:
    properties = feature.get("properties")
    return properties if isinstance(properties, dict) else {}


def _outline(file: Path, geometry: Any) -> Outline | None:
    """Return the polygons of a geometry, None where it has none."""
    if not isinstance(geometry, dict):
        return None
    coordinates: Any = geometry.get("coordinates")
    if geometry.get("type") == "Polygon":
        coordinates = [coordinates]
    elif geometry.get("type") != "MultiPolygon":
        return None
    try:
        polygons = tuple(
            tuple(np.array([(float(p[0]), float(p[1])) for p in ring]) for ring in rings)
            for rings in coordinates
        )
    except (TypeError, ValueError, IndexError):
        raise LabelError(f"{file}: a polygon whose coordinates are not pairs of numbers") from None
    for rings in polygons:
        for ring in rings:
            _check_finite(file, ring)
    whole = tuple(rings for rings in polygons if rings and all(len(ring) >= 3 for ring in rings))
    return whole or None


def _check_finite(file: Path, ring: Ring) -> None:
    if not np.isfinite(ring).all() or (np.abs(ring) > 1e9).any():
        raise LabelError(f"{file}: an outline with coordinates that are no places in an image")


def _check_bytes(file: Path) -> None:
    if file.stat().st_size > MAX_FILE_BYTES:
        raise LabelError(
            f"{file}: more than {MAX_FILE_BYTES >> 20} MiB; give the outlines of fields, not of slides"
        )
