"""The features by which types of nuclei are separated."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wsiseg.errors import UsageError
from wsiseg.objects.neighbours import REACH_UM

# Where a nucleus is, how sure it is and how it lies say nothing of its type.
LEFT_OUT = ("id", "centroid_", "mean_confidence", "orientation_", "geometry", "region", "class", "slide")
# Their logarithm is closer to a normal distribution.
SKEWED = ("_um2", "_um", "_sd", "contrast", "per_mm2")
NEAREST = 16
CENTRE = ("centroid_x_um", "centroid_y_um")

Values = NDArray[np.float64]


def feature_names(schema: pa.Schema) -> tuple[str, ...]:
    """Return the columns of a table of nuclei by which types can be separated."""
    return tuple(name for name in schema.names if not name.startswith(LEFT_OUT))


def feature_values(table: pa.Table, names: tuple[str, ...], context: bool) -> Values:
    """Return features of the nuclei of one slide.

    Parameters
    ----------
    table : pyarrow.Table
        All nuclei of the slide.
    names : tuple of str
        Columns.
    context : bool
        Whether the means over each nucleus and its 16 nearest are added.

    Returns
    -------
    ndarray of float64, (n, features)

    Raises
    ------
    UsageError
        If a column is missing.
    """
    missing = sorted(set(names) - set(table.column_names))
    if missing:
        raise UsageError(f"the table has no column {', '.join(missing)}; predict with --measurements all")
    found = np.empty((table.num_rows, len(names)))
    for k, name in enumerate(names):
        values = table[name].to_numpy().astype(np.float64)
        values = np.nan_to_num(values, nan=REACH_UM if name == "nearest_um" else 0.0)
        found[:, k] = np.log(np.maximum(values, 0) + 0.1) if name.endswith(SKEWED) else values
    if not context or not len(found):
        return found
    return np.hstack([found, _means(found, np.stack([table[name].to_numpy() for name in CENTRE], 1))])


def _means(values: Values, centres_um: Values) -> Values:
    """Return the means over each nucleus and its nearest, some thousands at a time."""
    from scipy.spatial import cKDTree

    tree, count = cKDTree(centres_um), min(NEAREST + 1, len(values))
    means = np.empty_like(values)
    for start in range(0, len(values), 10_000):
        rows = slice(start, start + 10_000)
        nearest = tree.query(centres_um[rows], k=[*range(1, count + 1)])[1]
        means[rows] = values[nearest].mean(1)
    return means
