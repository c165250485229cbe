"""Every size of the split, in pixels of one resolution, and how far a result can depend on others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import zip_longest

from wsiseg.config import ObjectsConfig

LEVELS_PER_PX = 4
"""Steps of the quantised distance map in one pixel of distance."""

SMOOTH_PX = 2
"""Reach of the smoothing of the distance map."""


@dataclass(frozen=True)
class Scales:
    """Sizes in pixels, derived from the configuration and the resolution.

    Parameters
    ----------
    clean_px : tuple of (int, int)
        Radii of the openings and closings of the clean-up, in order; 0 is none.
    hole_area_px, hole_side_px : int
        Holes of the mask with at most this area and bounding box are filled.
    deepest_px : int
        Distances to the background count up to here; at most 63, for which 16 bits suffice.
    shallowest_px : float
        A nucleus is at least this deep somewhere.
    peak_box : float
        In units of its depth: how far from a peak a higher one without a neck between is looked for.
    neck : float
        Two peaks are one nucleus if the way between them stays above this share of the lower one.
    spread_px : int
        Steps that a nucleus may grow beyond what the depth alone explains.
    min_area_px : float
        Smaller objects are dropped.
    split : bool
        Whether touching nuclei are split.
    """

    clean_px: tuple[tuple[int, ...], ...]
    hole_area_px: int
    hole_side_px: int
    deepest_px: int
    shallowest_px: float
    peak_box: float
    neck: float
    spread_px: int
    min_area_px: float
    split: bool

    @classmethod
    def of(cls, mpp: float, config: ObjectsConfig) -> Scales:
        """Derive the sizes from micrometres."""
        pairs = zip_longest(config.opening_um, config.closing_um, fillvalue=0.0)
        radii = [tuple(int(um / mpp + 0.5) if um >= mpp else 0 for um in pair) for pair in pairs]
        return cls(
            clean_px=tuple(radii),
            hole_area_px=int(config.hole_area_um2 / mpp**2),
            hole_side_px=math.ceil(1.5 * math.sqrt(config.hole_area_um2) / mpp),
            deepest_px=min(63, max(4, math.ceil(config.deepest_um / mpp))),
            shallowest_px=config.shallowest_um / mpp,
            peak_box=config.peak_box,
            neck=config.neck,
            spread_px=math.ceil(3 * config.deepest_um / mpp),
            min_area_px=config.min_area_um2 / mpp**2,
            split=config.split,
        )

    @property
    def mask_reach_px(self) -> int:
        """How far away confidence decides about a pixel of the mask."""
        return 2 * sum(map(sum, self.clean_px)) + self.hole_side_px

    @property
    def peak_box_px(self) -> int:
        """The largest box around a peak that is searched."""
        return math.ceil(self.peak_box * self.deepest_px)

    @property
    def last_cost(self) -> int:
        """The cost at which growth ends."""
        return LEVELS_PER_PX * self.deepest_px + self.spread_px

    @property
    def reach_px(self) -> int:
        """How far away confidence can decide about the label of a pixel."""
        return self.mask_reach_px + self.deepest_px + SMOOTH_PX + self.peak_box_px + 2 + self.last_cost

    @property
    def whole_reach_px(self) -> int:
        """How far away confidence can decide about an object that has a pixel here."""
        return self.reach_px + self.last_cost + 2


def max_reach_px(mpp: float, config: ObjectsConfig) -> int:
    """Return how far outside of its core `segment` may read, in pixels.

    Parameters
    ----------
    mpp : float
        Resolution of the frame in micrometres per pixel.
    config : ObjectsConfig
        How nuclei are found.

    Returns
    -------
    int
        The upper bound; most windows need a fraction of it.
    """
    return Scales.of(mpp, config).whole_reach_px
