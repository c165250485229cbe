"""Where the tissue of a slide is: found, drawn by the user, or everywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsiseg.config import TissueConfig
from wsiseg.slides.reader import Slide

SHORTEST_SIDE_PX = 128
FINE_MASK_PX = 2**20


@dataclass(frozen=True, eq=False)
class Tissue:
    """A mask over a whole slide.

    Parameters
    ----------
    mask : ndarray of bool, (rows, cols)
        Whether there is tissue; mask pixel (row, col) covers level-0 x from col * scale_l0 to
        (col + 1) * scale_l0, and y likewise.
    scale_l0 : float
        Level-0 pixels per mask pixel.
    """

    mask: NDArray[np.bool_]
    scale_l0: float

    @property
    def share(self) -> float:
        """Part of the slide that is tissue, 0 to 1."""
        return float(self.mask.mean())

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


def everywhere(slide: Slide) -> Tissue:
    """Return a mask of one pixel that says tissue for the whole slide."""
    return Tissue(np.ones((1, 1), np.bool_), float(max(slide.dimensions)))


def find_tissue(slide: Slide, config: TissueConfig, slide_mpp: float) -> Tissue:
    """Find where a slide has tissue.

    Parameters
    ----------
    slide : Slide
    config : TissueConfig
    slide_mpp : float
        Micrometres per level-0 pixel.

    Returns
    -------
    Tissue
        All False for an empty slide.

    Raises
    ------
    SlideError
        When the slide cannot be decoded.
    UsageError
        When the user's mask cannot be read or does not fit the slide.
    """
    scale_l0 = max(1.0, config.mpp / slide_mpp)
    if config.mask is not None:
        from wsiseg.slides.tissue_mask import read_mask

        return read_mask(config.mask, slide.dimensions, scale_l0)
    if not config.detect:
        return everywhere(slide)
    from wsiseg.slides.overview import read_overview
    from wsiseg.slides.tissue_detector import detect

    # a small image needs finer mask pixels, or its mask would be a handful of them; a long and thin one not
    width, height = slide.dimensions
    finest_useful = max(min(width, height) / SHORTEST_SIDE_PX, math.sqrt(width * height / FINE_MASK_PX))
    overview = read_overview(slide, max(1.0, min(scale_l0, finest_useful)))
    mask = detect(overview.rgb, overview.scale_l0 * slide_mpp, overview.known)
    # What cannot be decoded counts as tissue: reading it is tried again, and its failure recorded.
    return Tissue(mask | ~overview.known, overview.scale_l0)
