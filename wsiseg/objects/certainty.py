"""Which nuclei are certain enough to be kept: those that stand out from the threshold, small ones more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

# A nucleus of this area needs exactly the given certainty; one e times as large needs half of it less.
USUAL_UM2 = 25.0
AREA_WEIGHT = 0.5


def is_certain(
    area_um2: npt.NDArray[np.floating],
    mean_confidence: npt.NDArray[np.floating],
    threshold: float,
    certainty: float,
) -> npt.NDArray[np.bool_]:
    """Return which nuclei are certain enough.

    Where confidence barely reaches the threshold, small pieces of what is no nucleus pass it. So a nucleus's
    mean confidence must lie above the threshold by a share of what is left up to 1: by the certainty asked
    for, times 1 - ln(area / 25 um2) / 2.

    Parameters
    ----------
    area_um2, mean_confidence : ndarray, (n,)
        Of each nucleus.
    threshold : float
        At which the nuclei were found.
    certainty : float
        In [0, 1]; 0 keeps all.

    Returns
    -------
    ndarray of bool, (n,)
    """
    above = (mean_confidence - threshold) / (1 - threshold)
    needed = certainty * (1 - AREA_WEIGHT * np.log(area_um2 / USUAL_UM2))
    return np.asarray((certainty == 0) | (above >= needed))


def certain_ones(table: pa.Table, threshold: float, certainty: float) -> pa.Table:
    """Return the rows of a table of records (see `wsiseg.objects.records`) that are certain enough."""
    area, confidence = (table[name].to_numpy() for name in ("area_um2", "mean_confidence"))
    return table.filter(is_certain(area, confidence, threshold, certainty))
