"""A map of the density of nuclei over the slide, for zooms at which outlines would run together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wsiseg.viewer.nuclei import Nuclei

MAX_BINS = 512
SMALLEST_BIN_UM = 16.0
SMOOTHING_BINS = 1.5
# The last colour stands for this percentile of the occupied bins; single peaks would leave the rest pale.
HIGHEST_PERCENTILE = 99.5


@dataclass(frozen=True, eq=False)
class Density:
    """A map of density in bins of `bin_l0` level-0 pixels.

    Parameters
    ----------
    nuclei : Nuclei
        The nuclei to count.
    width_l0, height_l0 : int
        Size of the slide in level-0 pixels.
    mpp_l0 : float
        Micrometres per level-0 pixel.
    threshold : float
        The threshold at which the nuclei were found; up to it all of them count.
    """

    nuclei: Nuclei
    width_l0: int
    height_l0: int
    mpp_l0: float
    threshold: float

    @cached_property
    def bin_l0(self) -> float:
        """Side of a bin in level-0 pixels."""
        longer_l0 = max(self.width_l0, self.height_l0)
        return max(SMALLEST_BIN_UM / self.mpp_l0, longer_l0 / MAX_BINS)

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the map."""
        return math.ceil(self.height_l0 / self.bin_l0), math.ceil(self.width_l0 / self.bin_l0)

    def per_mm2(self, threshold: float) -> NDArray[np.float32]:
        """Return nuclei per mm2 with a mean confidence of at least `threshold`, float32 (rows, cols)."""
        import cv2

        rows, cols = self.shape
        kept = self._bins[keeps(self.nuclei, threshold, self.threshold)]
        counts = np.bincount(kept, minlength=rows * cols).reshape(rows, cols).astype(np.float32)
        bin_mm2 = (self.bin_l0 * self.mpp_l0 / 1000) ** 2
        smooth = cv2.GaussianBlur(counts, (0, 0), SMOOTHING_BINS, borderType=cv2.BORDER_REFLECT)
        return np.asarray(smooth / bin_mm2, np.float32)

    def shares(self, threshold: float) -> NDArray[np.uint8]:
        """Return the density as shares of the highest one that is shown, 255 for all of it."""
        shares = self.per_mm2(threshold) / max(self.highest_per_mm2, 1e-9)
        return np.asarray(np.rint(np.clip(shares, 0, 1) * 255), np.uint8)

    @cached_property
    def highest_per_mm2(self) -> float:
        """The density that has the last colour, at every threshold."""
        density = self.per_mm2(self.threshold)
        occupied = density[density > 1]
        return float(np.percentile(occupied, HIGHEST_PERCENTILE)) if len(occupied) else 0.0

    @cached_property
    def _bins(self) -> NDArray[np.int64]:
        rows, cols = self.shape
        x, y = (self.nuclei.column(f"centroid_{axis}_l0") / self.bin_l0 for axis in "xy")
        col, row = np.clip(x.astype(np.int64), 0, cols - 1), np.clip(y.astype(np.int64), 0, rows - 1)
        return np.asarray(row * cols + col, np.int64)


def keeps(nuclei: Nuclei, threshold: float, found_at: float) -> NDArray[np.bool_]:
    """Return which nuclei count: all up to the threshold that found them, then those certain enough."""
    if threshold <= found_at:
        return np.ones(len(nuclei), np.bool_)
    return np.asarray(nuclei.confidence >= np.float32(threshold))
