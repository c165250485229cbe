"""The threshold that suits a slide, without labels: nuclei are convex, and as many whichever way it lies.

Nuclei are round. Below the right confidence they run into each other and into what lies around, above it they
break and fray: both bend outlines inwards. And a network that sees a slide turned by a quarter finds up to a
tenth more or fewer nuclei in it at one threshold, which says nothing about the slide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsiseg.config import ObjectsConfig
from wsiseg.objects.certainty import is_certain
from wsiseg.objects.records import shapes
from wsiseg.objects.segment import segment_whole

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(4, 17))
# The shapes of fewer nuclei reflect chance rather than the threshold; those of twice as many count in full.
LEAST_NUCLEI = 100
# Penalty on the solidity for each squared e-fold between the area and that at the usual threshold.
CHANGE = 0.1
# Standard errors of the mean solidity by which a threshold that counts 1/e is worse than the best.
TOLERANCE = 2.0
# How far the number of nuclei may move the threshold, and in which steps it is looked for.
REACH, STEP = 0.12, 0.002

Windows = Sequence[NDArray[np.uint8]]


class Convexity(NamedTuple):
    """Nuclei at a threshold: solidity (mean by area), its standard error, area, number, certain ones."""

    solidity: float
    error: float
    area_um2: float
    nuclei: int
    certain: int


def suited_threshold(
    turns: Sequence[Windows],
    mpp: float,
    config: ObjectsConfig,
    usual: float,
    spread: Callable[..., Iterable[Convexity]] = map,
) -> float:
    """Return the threshold that suits a slide, from what the network sees in some windows.

    Each threshold from 0.2 to 0.8 is worth the mean solidity (area over that of the convex hull) of its
    nuclei, weighted by area, less 0.1 ln(area / area at the usual threshold)^2. The mean of all thresholds is
    taken, a threshold that is worse than the best by two standard errors counting 1/e of that: a best one
    alone would jump with what is left to chance. All turns are taken together, and from that mean the nearest
    threshold is looked for at which the windows as they lie have as many nuclei as all turns have there on
    average.

    Parameters
    ----------
    turns : sequence of sequence of ndarray of uint8, (H, W)
        Confidence of some places of one slide: as it lies, then of the same places seen turned.
    mpp : float
        Micrometres per pixel.
    config : ObjectsConfig
        How nuclei are found (its own threshold is not looked at).
    usual : float
        The model's threshold. It is taken where it finds fewer than 100 nuclei; up to 200, something between.
    spread : callable
        `map`, or that of a pool of threads.

    Returns
    -------
    float
        In whole thousandths.
    """
    if not turns or are_few(turns[0], mpp, config, usual):
        return usual
    tried = sorted({usual, *THRESHOLDS})
    asked = list(product(range(len(turns)), tried))
    measured = spread(lambda each: convexity(turns[each[0]], mpp, config, each[1]), asked)
    found = dict(zip(asked, measured, strict=True))
    number = found[0, usual].nuclei
    mean = _mean_threshold([[found[turn, t] for turn in range(len(turns))] for t in tried], tried, usual)
    certain = np.array([[found[turn, t].certain for t in tried] for turn in range(len(turns))], float)
    suited = _as_many(certain, np.array(tried), mean)
    share = min(1.0, number / LEAST_NUCLEI - 1)
    return round(float(usual + share * (suited - usual)), 3)


def are_few(windows: Windows, mpp: float, config: ObjectsConfig, usual: float) -> bool:
    """Whether the nuclei in the windows are too few to tell more than chance."""
    return convexity(windows, mpp, config, usual).nuclei <= LEAST_NUCLEI


def _mean_threshold(found: Sequence[Sequence[Convexity]], tried: Sequence[float], usual: float) -> float:
    """Return the mean of thresholds, weighted by what they are worth.

    Parameters
    ----------
    found : sequence of sequence of Convexity
        Of each threshold, how convex nuclei are in each turn.
    tried : sequence of float
    usual : float
    """
    together = [_joined(turns) for turns in found]
    area_um2 = together[tried.index(usual)].area_um2
    # The standard error of turns together: they show the same nuclei, but not the same rims.
    enough = [k for k, each in enumerate(together) if each.nuclei >= LEAST_NUCLEI * len(found[k])]
    worth = {
        k: together[k].solidity - CHANGE * math.log(together[k].area_um2 / area_um2) ** 2 for k in enough
    }
    best = max(enough, key=worth.__getitem__)
    unit = TOLERANCE * max(together[best].error, 1e-9)
    weights = np.array([math.exp((worth[k] - worth[best]) / unit) for k in enough])
    return float(weights @ [tried[k] for k in enough] / weights.sum())


def _joined(turns: Sequence[Convexity]) -> Convexity:
    """Return how convex the nuclei of all turns are together."""
    area = np.array([turn.area_um2 for turn in turns])
    share = area / area.sum() if area.any() else area
    solidity = float(share @ [turn.solidity for turn in turns])
    error = math.sqrt(sum((s * turn.error) ** 2 for s, turn in zip(share, turns, strict=True)))
    nuclei, certain = (sum(turn[k] for turn in turns) for k in (3, 4))
    return Convexity(solidity, error, float(area.sum()), int(nuclei), int(certain))


def _as_many(certain: NDArray[np.float64], tried: NDArray[np.float64], mean: float) -> float:
    """Return the threshold near `mean` at which the first row has as many nuclei as all rows have at it.

    Parameters
    ----------
    certain : ndarray of float64, (turns, thresholds)
        Nuclei that are kept.
    tried : ndarray of float64, (thresholds,)
    mean : float
    """
    wanted = float(np.mean([np.interp(mean, tried, row) for row in certain]))
    near = np.arange(max(tried[0], mean - REACH), min(tried[-1], mean + REACH) + STEP / 2, STEP)
    off = np.abs(np.interp(near, tried, certain[0]) - wanted) / max(wanted, 1.0)
    # Numbers can be the same over a range, and at places far apart.
    return float(near[np.argmin(off + 0.02 * np.abs(near - mean))])


def convexity(windows: Windows, mpp: float, config: ObjectsConfig, threshold: float) -> Convexity:
    """Return how convex the nuclei in some windows are at a threshold, see `suited_threshold`."""
    nothing = (np.zeros(0), np.zeros(0), np.zeros(0))
    found = [shapes(segment_whole(window, mpp, config, threshold), mpp, config) for window in windows]
    area, solidity, confidence = map(np.concatenate, zip(nothing, *found, strict=True))
    whole = float(area.sum())
    if not whole:
        return Convexity(0.0, 0.0, 0.0, 0, 0)
    mean = float(area @ solidity) / whole
    error = math.sqrt(float(area**2 @ (solidity - mean) ** 2)) / whole
    certain = is_certain(area, confidence, threshold, config.certainty)
    return Convexity(mean, error, whole, len(area), int(certain.sum()))
