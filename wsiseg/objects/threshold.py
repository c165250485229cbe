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
# The shapes of fewer say more of chance than of the threshold.
LEAST_NUCLEI = 100
# Solidity that the network's own word on what is nucleus is worth, for each squared e-fold of their area.
CHANGE = 0.07


class Convexity(NamedTuple):
    """Nuclei at one threshold: mean solidity weighted by area, their area (um2), and their number."""

    solidity: float
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
    0.07 ln(area / area at the usual threshold)^2: where shapes say little, the threshold stays.

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
    return tried[max(enough, key=worth)]


def convexity(
    windows: Sequence[NDArray[np.uint8]], mpp: float, config: ObjectsConfig, threshold: float
) -> Convexity:
    """Return how convex the nuclei in some windows are at a threshold, see `most_convex`."""
    within, whole, nuclei = 0.0, 0.0, 0
    for confidence in windows:
        table = describe(segment_whole(confidence, mpp, config, threshold), None, mpp, 1.0, config)
        area = table["area_um2"].to_numpy()
        within += float(area @ table["solidity"].to_numpy())
        whole += float(area.sum())
        nuclei += len(area)
    return Convexity(within / whole if whole else 0.0, whole, nuclei)
