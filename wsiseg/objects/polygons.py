"""Rings to polygons in level-0 pixels: rounded first, then checked."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from wsiseg.objects.outlines import Rings
from wsiseg.slides.tiles import Box


def to_l0(rings: Rings, origin: tuple[int, int], frame: Box, scale_l0: float) -> Rings:
    """Return rings of a window as level-0 coordinates with two decimals, none outside of the frame.

    Parameters
    ----------
    rings : Rings
        Rings in pixels of the window.
    origin : tuple of int
        (x, y) of the window in the frame.
    frame : Box
        The frame.
    scale_l0 : float
        Level-0 pixels in one pixel of the frame.
    """
    points = rings.points + np.array(origin, np.float64)
    np.clip(points, frame[:2], frame[2:], out=points)
    return rings._replace(points=np.round(points * scale_l0, 2))


def polygons(rings: Rings) -> NDArray[np.object_]:
    """Return one polygon an object; the first ring is its shell, the others are holes."""
    sizes = np.diff(rings.starts)
    linear = shapely.linearrings(rings.points, indices=np.repeat(np.arange(len(sizes)), sizes))
    return shapely.polygons(linear, indices=rings.owners)  # type: ignore[no-any-return]


def valid_polygons(wanted: Rings, exact: Rings) -> NDArray[np.object_]:
    """Return one valid polygon an object, or None where there is no area.

    Parameters
    ----------
    wanted : Rings
        Rounded outlines.
    exact : Rings
        Rounded exact outlines of the same objects, taken where the wanted one is not valid.

    Returns
    -------
    ndarray of object, shape (objects,)
        Polygon (or MultiPolygon of two or more parts, where rounding parted an object), or None.
    """
    if not len(wanted.owners):
        return np.empty(0, object)
    shapes = polygons(wanted)
    bad = ~shapely.is_valid(shapes)
    if bad.any():
        shapes[bad] = polygons(exact)[bad]
        for index in np.flatnonzero(bad):
            shapes[index] = _repaired(shapes[index])
    shapes[shapely.area(shapes) <= 0] = None
    return shapes


def _repaired(shape: shapely.Geometry) -> shapely.Geometry | None:
    """Return the valid polygonal part of a shape on the grid of two decimals, if there is one."""
    if shape.is_valid:
        return shape
    parts = shapely.get_parts(shapely.make_valid(shape))
    parts = shapely.set_precision(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON], 0.01)
    parts = shapely.get_parts(parts)
    parts = parts[(shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & (shapely.area(parts) > 0)]
    if not len(parts):
        return None
    if len(parts) == 1:
        return parts[0]
    several = shapely.multipolygons(parts)
    return several if several.is_valid else parts[np.argmax(shapely.area(parts))]
