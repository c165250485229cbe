"""The threshold that suits a slide, without labels: the one at which its nuclei are most convex.

Nuclei are round. Below the right confidence they run into each other and into what lies around, above it they
break and fray: both bend outlines inwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsiseg.config import ObjectsConfig
from wsiseg.objects.records import describe
from wsiseg.objects.segment import segment_whole

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(4, 17))
# The shapes of fewer nuclei reflect chance rather than the threshold.
LEAST_NUCLEI = 100
# Penalty on the solidity for each squared e-fold between the area and that at the usual threshold.
CHANGE = 0.07
# Standard errors of the mean solidity by which a threshold may be worse than the best and count as good.
TOLERANCE = 0.5


class Convexity(NamedTuple):
    """Nuclei at one threshold: mean solidity weighted by area, its standard error, their area and number."""

    solidity: float
    error: float
    area_um2: float
    nuclei: int


def most_convex(
    windows: Sequence[NDArray[np.uint8]],
    mpp: float,
    config: ObjectsConfig,
    usual: float,
    spread: Callable[[Callable[[float], Convexity], Sequence[float]], Iterable[Convexity]] = map,
) -> float:
    """Return the threshold from 0.2 to 0.8 at which the nuclei in some windows are most convex.

    What counts is their mean solidity (area over that of the convex hull), weighted by area, less
    0.07 ln(area / area at the usual threshold)^2. Of all thresholds within half a standard error of the best
    the nearest to the usual one is taken (after Breiman et al., Classification and Regression Trees, 1984,
    section 3.4.3; half, as the same nuclei are compared): what shapes cannot tell apart must not depend on
    chance.

    Parameters
    ----------
    windows : sequence of ndarray of uint8, (H, W)
        Confidence of places of one slide.
    mpp : float
        Micrometres per pixel.
    config : ObjectsConfig
        How nuclei are found (its own threshold is not looked at).
    usual : float
        The model's threshold. It is taken where it finds fewer than 100 nuclei.
    spread : callable
        `map`, or that of a pool of threads.
    """
    tried = (usual, *(threshold for threshold in THRESHOLDS if threshold != usual))
    found = list(spread(lambda threshold: convexity(windows, mpp, config, threshold), tried))
    if found[0].nuclei < LEAST_NUCLEI:
        return usual

    def worth(k: int) -> float:
        return found[k].solidity - CHANGE * math.log(found[k].area_um2 / found[0].area_um2) ** 2

    enough = [k for k in range(len(tried)) if found[k].nuclei >= LEAST_NUCLEI]
    best = max(enough, key=worth)
    as_good = [k for k in enough if worth(k) >= worth(best) - TOLERANCE * found[best].error]
    return tried[min(as_good, key=lambda k: (round(abs(tried[k] - usual), 6), -worth(k)))]


def convexity(
    windows: Sequence[NDArray[np.uint8]], mpp: float, config: ObjectsConfig, threshold: float
) -> Convexity:
    """Return how convex the nuclei in some windows are at a threshold, see `most_convex`."""
    tables = [
        describe(segment_whole(window, mpp, config, threshold), None, mpp, 1.0, config) for window in windows
    ]
    area, solidity = (
        np.concatenate([np.zeros(0), *(table[name].to_numpy() for table in tables)])
        for name in ("area_um2", "solidity")
    )
    whole = float(area.sum())
    if not whole:
        return Convexity(0.0, 0.0, 0.0, 0)
    mean = float(area @ solidity) / whole
    error = math.sqrt(float(area**2 @ (solidity - mean) ** 2)) / whole
    return Convexity(mean, error, whole, len(area))
