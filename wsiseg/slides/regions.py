"""Regions that a user drew on a slide: named polygons in level-0 pixels, which may overlap and have holes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import translate

from wsiseg.errors import UsageError
from wsiseg.slides.facts import one_line
from wsiseg.slides.tissue import Tissue

MAX_BYTES = 2**28
SEPARATOR = "; "
# Nuclei whose centre is inside reach out of a region.
MARGIN_UM = 24.0


@dataclass(frozen=True)
class Region:
    """A region.

    Parameters
    ----------
    name : str
        Unique among those of a slide.
    classification : str
        Its class in QuPath; empty without one.
    shape : shapely.Geometry
        Polygon or MultiPolygon in level-0 pixels, valid.
    """

    name: str
    classification: str
    shape: Any


class Regions(Sequence[Region]):
    """The regions of a slide, in the order of their file."""

    def __init__(self, regions: Sequence[Region]) -> None:
        self._regions = tuple(regions)
        for region in self._regions:
            shapely.prepare(region.shape)

    def __len__(self) -> int:
        return len(self._regions)

    def __getitem__(self, index: Any) -> Any:
        return self._regions[index]

    def __reduce__(self) -> tuple[Any, ...]:
        return parse_regions, (self.text,)

    @cached_property
    def text(self) -> str:
        """GeoJSON from which `parse_regions` makes the same regions."""
        features = [
            {
                "type": "Feature",
                "geometry": json.loads(shapely.to_geojson(region.shape)),
                "properties": {
                    "name": region.name,
                    **({"classification": {"name": region.classification}} if region.classification else {}),
                },
            }
            for region in self
        ]
        return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False)

    def holding(self, x_l0: NDArray[np.float64], y_l0: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which regions hold which of n points, their outlines included: (regions, n)."""
        inside = np.zeros((len(self), len(x_l0)), np.bool_)
        for row, region in zip(inside, self, strict=True):
            x0, y0, x1, y1 = region.shape.bounds
            near = (x_l0 >= x0) & (x_l0 <= x1) & (y_l0 >= y0) & (y_l0 <= y1)
            if near.any():
                row[near] = shapely.intersects_xy(region.shape, x_l0[near], y_l0[near])
        return inside

    def areas_l0(self, width: int, height: int) -> list[float]:
        """Return the area of each region on a slide of this size, and last that of all together."""
        whole = shapely.box(0, 0, width, height)
        shapes = [shapely.intersection(region.shape, whole) for region in self]
        return [float(shapely.area(shape)) for shape in (*shapes, shapely.union_all(shapes))]

    def tissue(self, dimensions: tuple[int, int], scale_l0: float, margin_px: int) -> Tissue:
        """Return the regions as what is computed, with a margin for nuclei that reach out of them.

        Parameters
        ----------
        dimensions : (int, int)
            (width, height) of level 0.
        scale_l0 : float
            Level-0 pixels per pixel of the mask.
        margin_px : int
            Pixels of the mask.
        """
        cols, rows = (int(np.ceil(side / scale_l0)) for side in dimensions)
        core = np.zeros((rows, cols), np.uint8)
        far = 8.0 * max(rows, cols) + 1024
        for polygon in shapely.get_parts([region.shape for region in self]):
            rings = [polygon.exterior, *polygon.interiors]
            pixels = [np.clip(shapely.get_coordinates(ring) / scale_l0 - 0.5, -far, far) for ring in rings]
            part = np.zeros_like(core)
            cv2.fillPoly(part, [np.rint(points * 16).astype(np.int32) for points in pixels], 1, shift=4)
            core |= part
        side = 2 * margin_px + 1
        mask = cv2.dilate(core, np.ones((side, side), np.uint8))
        return Tissue(mask.astype(np.bool_), scale_l0, core.astype(np.bool_))


def regions_file(given: str, names: Sequence[str]) -> str | None:
    """Return the file of a slide's regions: the one given, or the one of its name in a folder.

    Parameters
    ----------
    given : str
        A GeoJSON file, or a folder of such.
    names : sequence of str
        Names that the slide may have.

    Returns
    -------
    str or None
        None where the folder has none.
    """
    if not os.path.isdir(given):
        return given
    candidates = (os.path.join(given, name + suffix) for name in names for suffix in (".geojson", ".json"))
    return next((path for path in candidates if os.path.isfile(path)), None)


def read_regions(path: str, origin_l0: tuple[int, int] = (0, 0)) -> Regions:
    """Read the annotations of a GeoJSON file, as QuPath exports them; what is no area is left out.

    Parameters
    ----------
    path : str
        The file.
    origin_l0 : (int, int)
        The point on the slide that its coordinates count from, in level-0 pixels (x, y).

    Raises
    ------
    UsageError
        When there is no such file, it is no GeoJSON, or holds no area.
    """
    try:
        if os.path.getsize(path) > MAX_BYTES:
            raise ValueError("it has over 256 MiB; give outlines of regions, not of nuclei")
        with open(path, encoding="utf-8-sig") as file:
            regions = parse_regions(file.read())
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file of regions") from None
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError,
            shapely.errors.ShapelyError) as error:  # fmt: skip
        raise UsageError(f"{path}: cannot be read as regions: {one_line(error)}") from error
    if not regions:
        raise UsageError(f"{path}: holds no area; export annotations from QuPath as GeoJSON")
    if origin_l0 == (0, 0):
        return regions
    return Regions([replace(region, shape=translate(region.shape, *origin_l0)) for region in regions])


def parse_regions(text: str) -> Regions:
    """Return the regions in a GeoJSON text; raises what json and shapely raise."""
    found: list[Region] = []
    taken: set[str] = set()
    for feature in _features(json.loads(text)):
        shape = _area(feature.get("geometry"))
        if shape is None:
            continue
        properties = feature.get("properties") or {}
        kind = " ".join(str((properties.get("classification") or {}).get("name") or "").split())
        wanted = " ".join(str(properties.get("name") or kind or "region").split()).replace(";", ",")
        name, number = wanted, 1
        while name in taken:
            number += 1
            name = f"{wanted} {number}"
        taken.add(name)
        found.append(Region(name, kind, shape))
    return Regions(found)


def _features(node: Any) -> Iterator[dict[str, Any]]:
    """Yield the features of a document; a bare geometry is one without properties."""
    if isinstance(node, list):
        for item in node:
            yield from _features(item)
        return
    if not isinstance(node, dict):
        raise ValueError("it is not GeoJSON")
    if node.get("type") == "FeatureCollection":
        yield from _features(node.get("features") or [])
    elif node.get("type") == "Feature":
        yield node
    else:
        yield {"geometry": node}


def _area(geometry: Any) -> Any:
    """Return the valid polygonal part of a geometry; None for points, lines and nothing."""
    if not geometry:
        return None
    shapes = _flat(shapely.make_valid(shapely.from_geojson(json.dumps(geometry))))
    parts = [shape for shape in shapes if shape.geom_type == "Polygon" and shape.area > 0]
    whole = shapely.union_all(parts) if parts else None
    if whole is not None and not np.isfinite(whole.bounds).all():
        raise ValueError("a point of an outline is not finite")
    return whole


def _flat(shape: Any) -> list[Any]:
    """Return the parts of a geometry, those of collections within it too."""
    parts = getattr(shape, "geoms", None)
    return [shape] if parts is None else [deep for part in parts for deep in _flat(part)]
