"""Where a nucleus stands among the others: how near they are, how many, and which it touches in a mesh."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

REACH_UM = 100.0
"""How far away others are looked for."""
LARGEST_CIRCLE_UM = REACH_UM / 2
"""Triangles of the mesh with a larger circle around them do not count: they bridge glass."""
NEAR_UM = (25, 50)

NEIGHBOURS = pa.schema(
    [
        pa.field("nearest_um", pa.float32(), metadata={"unit": "um"}),
        *(pa.field(f"within_{near}_um", pa.uint16(), metadata={"unit": "nuclei"}) for near in NEAR_UM),
        pa.field("density_per_mm2", pa.float32(), metadata={"unit": "nuclei per mm^2"}),
        pa.field("delaunay_degree", pa.uint16(), metadata={"unit": "nuclei"}),
    ]
)
"""Columns of a nucleus's neighbourhood, with their units."""


def neighbours(centres_um: NDArray[np.float64], around_um: NDArray[np.float64]) -> pa.Table:
    """Return columns as `NEIGHBOURS` for some nuclei, from all that lie within `REACH_UM` of any of them.

    Parameters
    ----------
    centres_um : ndarray of float64, (n, 2)
        (x, y) of the nuclei.
    around_um : ndarray of float64, (m, 2)
        Those and the others, in any order; more of them than needed change nothing.

    Returns
    -------
    pyarrow.Table
        n rows. `nearest_um` is null where no other is within reach; the density is that within reach, the
        nucleus included; the degree counts the nuclei that share a Delaunay triangle with it whose circle has
        a radius of at most `LARGEST_CIRCLE_UM`.
    """
    from scipy.spatial import cKDTree

    # Sorted, so that ties in the mesh are broken alike whatever tile a nucleus came from.
    around = around_um[np.lexsort(around_um.T)]
    tree = cKDTree(around)
    nearest = tree.query(centres_um, k=2, distance_upper_bound=np.nextafter(REACH_UM, np.inf))[0][:, 1]

    def within(radius_um: float) -> NDArray[np.int64]:
        return np.asarray(tree.query_ball_point(centres_um, radius_um, return_length=True), np.int64)

    area_mm2 = np.pi * (REACH_UM / 1000) ** 2
    columns = [
        pa.array(nearest, mask=~np.isfinite(nearest)),
        *(within(near) - 1 for near in NEAR_UM),
        within(REACH_UM) / area_mm2,
        _degrees(around)[tree.query(centres_um)[1]],
    ]
    arrays = [pa.array(values).cast(field.type) for values, field in zip(columns, NEIGHBOURS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=NEIGHBOURS)


def _degrees(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the degree of each point in the mesh of triangles with small circles."""
    from scipy.spatial import Delaunay, QhullError

    none = np.zeros(len(points), np.int64)
    if len(points) < 3:
        return none
    try:
        corners = Delaunay(points - points[0]).simplices
    except QhullError:  # all in one line
        return none
    corners = corners[_circumradius(points[corners]) <= LARGEST_CIRCLE_UM]
    edges = np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]]), axis=1)
    degrees: NDArray[np.int64] = np.bincount(np.unique(edges, axis=0).ravel(), minlength=len(points))
    return degrees


def _circumradius(triangles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the radius of the circle around each triangle, (n, 3, 2); infinite for flat ones."""
    a, b, c = (np.hypot(*(triangles[:, i] - triangles[:, j]).T) for i, j in ((0, 1), (1, 2), (2, 0)))
    u, v = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    twice_area = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        radius: NDArray[np.float64] = a * b * c / (2 * twice_area)
    return np.where(np.isnan(radius), np.inf, radius)
