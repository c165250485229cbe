"""Where the tissue of a slide is: a mask over level 0."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Tissue:
    """A mask over a whole slide.

    Parameters
    ----------
    mask : ndarray of bool, (rows, cols)
        Where nuclei are looked for; mask pixel (row, col) covers level-0 x from col * scale_l0 to
        (col + 1) * scale_l0, and y likewise.
    scale_l0 : float
        Level-0 pixels per mask pixel.
    core : ndarray of bool, (rows, cols), optional
        The tissue without the margin in which nuclei are looked for too; the mask if left out.
    remarks : tuple of str
        What does not look like stained tissue on glass, in words.
    """

    mask: NDArray[np.bool_]
    scale_l0: float
    core: NDArray[np.bool_] | None = None
    remarks: tuple[str, ...] = ()

    @property
    def without_margin(self) -> NDArray[np.bool_]:
        """The mask without its margin: what counts as tissue in areas and densities, (rows, cols)."""
        return self.mask if self.core is None else self.core

    @property
    def share(self) -> float:
        """Part of the slide that is tissue, margin left out, 0 to 1."""
        return float(self.without_margin.mean())

    def meets(self, x0_l0: float, y0_l0: float, x1_l0: float, y1_l0: float) -> bool:
        """Whether a level-0 rectangle touches a mask pixel that is tissue."""
        col0, row0 = (max(0, math.floor(v / self.scale_l0)) for v in (x0_l0, y0_l0))
        col1, row1 = (max(0, math.ceil(v / self.scale_l0)) for v in (x1_l0, y1_l0))
        return bool(self.mask[row0:row1, col0:col1].any())

    def at(self, x_l0: NDArray[np.float64], y_l0: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return for each level-0 point whether it lies on tissue; points outside the slide do not."""
        rows, cols = self.mask.shape
        with np.errstate(invalid="ignore"):
            col = np.floor(np.asarray(x_l0, np.float64) / self.scale_l0)
            row = np.floor(np.asarray(y_l0, np.float64) / self.scale_l0)
            inside = (col >= 0) & (col < cols) & (row >= 0) & (row < rows)
        hit = np.zeros(inside.shape, np.bool_)
        hit[inside] = self.mask[row[inside].astype(np.intp), col[inside].astype(np.intp)]
        return hit

    def outlines_l0(self) -> list[NDArray[np.float64]]:
        """Return the outlines of tissue and of its holes, each (n, 2) of (x, y) in level-0 pixels, closed."""
        from skimage.measure import find_contours

        padded = np.pad(self.mask, 1).astype(np.float64)
        # contours run half way between pixel centres; the padding shifts by one, the centre by a half
        return [(line[:, ::-1] - 0.5) * self.scale_l0 for line in find_contours(padded, 0.5)]
