"""One row per nucleus: place, size, shape, stain and outline."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wsiseg.config import STAIN_OD_AT_255, ObjectsConfig
from wsiseg.objects.feret import feret_px
from wsiseg.objects.intensity import boundary_contrast, intensity_counts, spread
from wsiseg.objects.measures import axes_px, lengths_px, orientation_deg, pixel_sums
from wsiseg.objects.outlines import Rings, bounding_boxes, trace
from wsiseg.objects.polygons import Polygons, on_grid, valid_polygons
from wsiseg.objects.segment import Read, Segmented
from wsiseg.objects.simplify import simplified
from wsiseg.objects.texture import TEXTURES, textures
from wsiseg.tiles import Box

TINY = np.finfo(np.float64).tiny
Column = NDArray[np.float32]

UNITS = {
    "marker_row": "px of the frame",
    "marker_col": "px of the frame",
    "centroid_x_um": "um",
    "centroid_y_um": "um",
    "centroid_x_l0": "level-0 px",
    "centroid_y_l0": "level-0 px",
    "area_um2": "um^2",
    "perimeter_um": "um",
    "circularity": "1",
    "major_axis_um": "um",
    "minor_axis_um": "um",
    "eccentricity": "1",
    "orientation_deg": "degrees",
    "feret_max_um": "um",
    "feret_min_um": "um",
    "solidity": "1",
    "mean_confidence": "1",
    "haematoxylin_mean": "optical density",
    "exact_area_px": "px^2 of the frame",
    "geometry": "level-0 px, WKB",
}
"""Columns of the record table, with their units, in order."""

TYPES = {
    "marker_row": pa.int32(),
    "marker_col": pa.int32(),
    "exact_area_px": pa.int32(),
    "geometry": pa.binary(),
    "centroid_x_um": pa.float64(),
    "centroid_y_um": pa.float64(),
    "centroid_x_l0": pa.float64(),
    "centroid_y_l0": pa.float64(),
}

RECORDS = pa.schema(
    [pa.field(name, TYPES.get(name, pa.float32()), metadata={"unit": unit}) for name, unit in UNITS.items()]
)
"""Schema of the record table; units are in the fields' metadata."""


MORE_UNITS = {
    "haematoxylin_median": "optical density",
    "haematoxylin_sd": "optical density",
    "haematoxylin_min": "optical density",
    "haematoxylin_max": "optical density",
    "eosin_mean": "optical density",
    "eosin_median": "optical density",
    "eosin_sd": "optical density",
    "eosin_min": "optical density",
    "eosin_max": "optical density",
    "grey_mean": "grey level, 0 to 255",
    "grey_median": "grey level, 0 to 255",
    "grey_sd": "grey level, 0 to 255",
    "grey_min": "grey level, 0 to 255",
    "grey_max": "grey level, 0 to 255",
    "boundary_contrast": "optical density",
    "texture_contrast": "1",
    "texture_correlation": "1",
    "texture_energy": "1",
    "texture_homogeneity": "1",
}
"""Further columns where all is measured."""

_MORE = [pa.field(name, pa.float32(), metadata={"unit": unit}) for name, unit in MORE_UNITS.items()]
# The outline stays last.
ALL_RECORDS = pa.schema([*list(RECORDS)[:-1], *_MORE, RECORDS.field("geometry")])

ReadPlanes = Callable[[Box], NDArray[np.uint8]]


REGION = pa.field("region", pa.string(), metadata={"unit": "name"})
"""The regions that hold a nucleus's centre, where there are any."""


def records_schema(measurements: str, with_region: bool = False) -> pa.Schema:
    """Return the schema of the record table for "basic" or "all" measurements, and whether with `REGION`."""
    schema = ALL_RECORDS if measurements == "all" else RECORDS
    return schema.append(REGION) if with_region else schema


class Traced(NamedTuple):
    """Boxes, pixel sums (see `SUMS`), simplified outlines in pixels of the window, polygons in level 0."""

    boxes: NDArray[np.int32]
    sums: NDArray[np.int64]
    smooth: Rings
    outlines: Polygons

    @property
    def solidity(self) -> NDArray[np.float64]:
        """Area over that of the convex hull, of each polygon."""
        return self.outlines.area_l0 / np.maximum(self.outlines.hull_area_l0, TINY)

    @property
    def mean_confidence(self) -> NDArray[np.float64]:
        """Mean confidence of each nucleus, 0 to 1."""
        found: NDArray[np.float64] = self.sums[:, 6] / (255 * self.sums[:, 0])
        return found


def _traced(
    segmented: Segmented, haematoxylin: Read | None, mpp: float, scale_l0: float, config: ObjectsConfig
) -> Traced:
    """Return what all measurements of the owned nuclei start from."""
    window, owned, labels = segmented.window, segmented.owned, segmented.window_labels
    half = np.empty((0, 0), np.uint8) if haematoxylin is None else haematoxylin(window.halved())
    boxes = bounding_boxes(labels, len(owned))
    sums = pixel_sums(
        labels, owned, boxes, segmented.markers, segmented.confidence, half, (window.y0, window.x0)
    )
    exact = trace(labels, owned, boxes)
    smooth = simplified(exact, sums[:, 0], max(config.simplify_um, 0.125) / mpp)
    origin = (window.x0, window.y0)
    wanted_l0 = on_grid(smooth if config.simplify_um > 0 else exact, origin, segmented.frame, scale_l0)
    outlines = valid_polygons(wanted_l0, lambda: on_grid(exact, origin, segmented.frame, scale_l0))
    return Traced(boxes, sums, smooth, outlines)


def shapes(segmented: Segmented, mpp: float, config: ObjectsConfig) -> tuple[Column, Column, Column]:
    """Return area in um2, solidity and mean confidence as `describe` has them, and measure nothing else.

    Parameters
    ----------
    segmented : Segmented
        The nuclei of one core, at a scale of 1.
    mpp : float
        Resolution of the frame in micrometres per pixel.
    config : ObjectsConfig
        How outlines are simplified.

    Returns
    -------
    area_um2, solidity, mean_confidence : ndarray of float32, (owned nuclei,)
    """
    if not segmented.owned.any():
        return (np.zeros(0, np.float32),) * 3
    traced = _traced(segmented, None, mpp, 1.0, config)
    area_um2, solidity, confidence = traced.sums[:, 0] * mpp**2, traced.solidity, traced.mean_confidence
    return area_um2.astype(np.float32), solidity.astype(np.float32), confidence.astype(np.float32)


def describe(
    segmented: Segmented,
    haematoxylin: Read | None,
    mpp: float,
    scale_l0: float,
    config: ObjectsConfig,
    planes: ReadPlanes | None = None,
) -> pa.Table:
    """Return one row for each nucleus that the core owns, in the order of `Segmented.markers`.

    Parameters
    ----------
    segmented : Segmented
        The nuclei of one core.
    haematoxylin : callable or None
        Serves the haematoxylin density (uint8) of a box in pixels of twice the frame's (see `Box.halved`);
        without it the column is null.
    mpp : float
        Resolution of the frame in micrometres per pixel.
    scale_l0 : float
        Level-0 pixels in one pixel of the frame.
    config : ObjectsConfig
        How outlines are simplified.
    planes : callable, optional
        Serves haematoxylin, eosin and grey level (see `stain_planes`) of a box, uint8 (3, height, width).

    Returns
    -------
    pyarrow.Table
        Columns as `RECORDS`, with planes as `ALL_RECORDS`. ``geometry`` is the simplified, valid polygon in
        level-0 pixels on the grid of two decimals, null in the rare case that nothing of it has an area after
        rounding. The perimeter is the length of the simplified outline, circularity 4 pi area / perimeter^2
        (at most 1).
    """
    owned = segmented.owned
    schema = RECORDS if planes is None else ALL_RECORDS
    if not owned.any():
        return schema.empty_table()
    traced = _traced(segmented, haematoxylin, mpp, scale_l0, config)
    boxes, sums, smooth, outlines = traced
    area_px = sums[:, 0]
    perimeter_um = lengths_px(smooth, len(area_px)) * mpp
    longest, shortest = feret_px(smooth, len(area_px))

    markers = segmented.markers[owned]
    centroid_y = markers[:, 0] + sums[:, 1] / area_px + 0.5
    centroid_x = markers[:, 1] + sums[:, 2] / area_px + 0.5
    major, minor = axes_px(sums)
    area_um2 = area_px * mpp**2
    columns: dict[str, NDArray[np.generic] | pa.Array] = {
        "marker_row": markers[:, 0],
        "marker_col": markers[:, 1],
        "centroid_x_um": centroid_x * mpp,
        "centroid_y_um": centroid_y * mpp,
        "centroid_x_l0": centroid_x * scale_l0,
        "centroid_y_l0": centroid_y * scale_l0,
        "area_um2": area_um2,
        "perimeter_um": perimeter_um,
        "circularity": np.minimum(1, 4 * np.pi * area_um2 / perimeter_um**2),
        "major_axis_um": major * mpp,
        "minor_axis_um": minor * mpp,
        "eccentricity": np.sqrt(1 - (minor / major) ** 2),
        "orientation_deg": orientation_deg(sums),
        "feret_max_um": longest * mpp,
        "feret_min_um": shortest * mpp,
        "solidity": traced.solidity,
        "mean_confidence": traced.mean_confidence,
        "haematoxylin_mean": pa.nulls(len(area_px))
        if haematoxylin is None
        else STAIN_OD_AT_255 * sums[:, 7] / (255 * area_px),
        "exact_area_px": area_px,
        "geometry": outlines.wkb,
    }
    if planes is not None:
        columns |= _stains(segmented, boxes, area_px, planes)
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _stains(
    segmented: Segmented, boxes: NDArray[np.int32], area_px: NDArray[np.int64], planes: ReadPlanes
) -> dict[str, NDArray[np.float64]]:
    """Return what is measured on haematoxylin, eosin and grey level at the resolution of the frame."""
    window = segmented.window.grown(1).clipped(segmented.frame)
    corner = (segmented.window.y0 - window.y0, segmented.window.x0 - window.x0)
    values = np.ascontiguousarray(planes(window))
    objects = (segmented.window_labels, segmented.owned, boxes)
    counts = intensity_counts(*objects, values, corner)
    od = STAIN_OD_AT_255 / 255
    found: dict[str, NDArray[np.float64]] = {}
    for plane, (name, unit) in enumerate((("haematoxylin", od), ("eosin", od), ("grey", 1.0))):
        of_plane = spread(counts[:, plane], area_px)
        found |= {f"{name}_{measure}": unit * column for measure, column in of_plane.items()}
    found["boundary_contrast"] = od * boundary_contrast(*objects, values[0], corner)
    texture = textures(*objects, values[0], corner)
    found |= {f"texture_{measure}": texture[:, k] for k, measure in enumerate(TEXTURES)}
    return found
