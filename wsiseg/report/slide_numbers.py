"""Statistics of a slide's nuclei: distributions and densities, in one pass over its table."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsiseg.config import STAIN_OD_AT_255
from wsiseg.errors import StoreError
from wsiseg.slides.tissue import Tissue
from wsiseg.store.identity import FrameInfo

ROWS_AT_ONCE = 65_536
FIELD_UM = 128.0
# Sides of the squares of the density map; the smallest with which the map has at most so many along a side.
SQUARES_UM = (50, 100, 200, 500, 1000, 2000, 5000)
MOST_SQUARES = 240
# A square with less tissue counts as one with this share; a sliver of tissue could show any density.
LEAST_TISSUE = 0.25

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass
class Spread:
    """Distribution of a measurement, in fine bins from 0 to `top`; larger values are in the last bin."""

    top: float
    bins: int
    counts: Counts = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros(self.bins, np.int64)

    def add(self, values: Values) -> None:
        """Count values; NaN is left out."""
        known = values[np.isfinite(values)]
        places = np.clip(known * (self.bins / self.top), 0, self.bins - 1).astype(np.int64)
        self.counts += np.bincount(places, minlength=self.bins)

    def quantile(self, share: float) -> float | None:
        """Return the value below which a share of the values lies; None if there are none."""
        total = int(self.counts.sum())
        if total == 0:
            return None
        place = int(np.searchsorted(self.counts.cumsum(), share * total))
        return (min(place, self.bins - 1) + 0.5) * self.top / self.bins


@dataclass(frozen=True)
class Lattice:
    """Equal rectangles over a slide.

    Parameters
    ----------
    rows, cols : int
        Size of the lattice.
    width_um, height_um : float
        Of one rectangle.
    """

    rows: int
    cols: int
    width_um: float
    height_um: float

    def places(self, x_um: Values, y_um: Values) -> Counts:
        """Return the number of the rectangle, in raster order, in which each point lies."""
        col = np.clip((x_um / self.width_um).astype(np.int64), 0, self.cols - 1)
        row = np.clip((y_um / self.height_um).astype(np.int64), 0, self.rows - 1)
        places: Counts = row * self.cols + col
        return places

    def tissue_shares(self, tissue: Tissue, frame: FrameInfo) -> Values:
        """Return how much of each rectangle is tissue, 0 to 1: (rows, cols)."""
        rows, cols = tissue.mask.shape
        um = tissue.scale_l0 * frame.mpp / frame.scale_l0
        by_row = _overlaps(self.rows, self.height_um, rows, um)
        by_col = _overlaps(self.cols, self.width_um, cols, um)
        # A whole mask in double precision would be eight times its size.
        inside_um2 = (by_row @ tissue.mask.astype(np.float32)) @ by_col.T
        return np.clip(inside_um2.astype(np.float64) / (self.width_um * self.height_um), 0, 1)


def _overlaps(cells: int, cell_um: float, pixels: int, pixel_um: float) -> npt.NDArray[np.float32]:
    """Return how much of each pixel lies in each cell along one side: (cells, pixels), in um."""
    edges, starts = np.arange(cells + 1) * cell_um, np.arange(pixels) * pixel_um
    first = np.maximum(edges[:-1, None], starts[None])
    last = np.minimum(edges[1:, None], starts[None] + pixel_um)
    overlaps: npt.NDArray[np.float32] = np.maximum(0, last - first).astype(np.float32)
    return overlaps


@dataclass
class SlideNumbers:
    """Statistics of a slide's nuclei; memory does not depend on their number.

    Parameters
    ----------
    squares : Lattice
        The density map.
    cells : Lattice
        The places among which sample fields are chosen.
    """

    squares: Lattice
    cells: Lattice
    nuclei: int = 0
    area: Spread = field(default_factory=lambda: Spread(1000.0, 2000))
    circularity: Spread = field(default_factory=lambda: Spread(1.0, 200))
    stain: Spread = field(default_factory=lambda: Spread(STAIN_OD_AT_255, 256))
    confidence: Spread = field(default_factory=lambda: Spread(1.0, 256))
    in_square: Counts = field(init=False)
    in_cell: Counts = field(init=False)
    confidence_in_cell: Values = field(init=False)

    def __post_init__(self) -> None:
        cells = self.cells.rows * self.cells.cols
        self.in_square = np.zeros(self.squares.rows * self.squares.cols, np.int64)
        self.in_cell, self.confidence_in_cell = np.zeros(cells, np.int64), np.zeros(cells)

    def add(self, columns: dict[str, Values]) -> None:
        """Add nuclei, given the columns of the table."""
        x_um, y_um = columns["centroid_x_um"], columns["centroid_y_um"]
        confidence = columns["mean_confidence"]
        self.nuclei += len(x_um)
        self.area.add(columns["area_um2"])
        self.circularity.add(columns["circularity"])
        self.stain.add(columns["haematoxylin_mean"])
        self.confidence.add(confidence)
        self.in_square += np.bincount(self.squares.places(x_um, y_um), minlength=len(self.in_square))
        place = self.cells.places(x_um, y_um)
        self.in_cell += np.bincount(place, minlength=len(self.in_cell))
        self.confidence_in_cell += np.bincount(place, confidence, minlength=len(self.in_cell))

    def density(self, tissue: Tissue, frame: FrameInfo) -> Values:
        """Return nuclei per mm2 of tissue in each square, NaN where there is neither: (rows, cols)."""
        shape = self.squares.rows, self.squares.cols
        shares = self.squares.tissue_shares(tissue, frame)
        counts = self.in_square.reshape(shape)
        square_mm2 = self.squares.width_um * self.squares.height_um / 1e6
        values: Values = counts / (square_mm2 * np.maximum(shares, LEAST_TISSUE))
        return np.where((shares > 0) | (counts > 0), values, np.nan)


COLUMNS = (
    "centroid_x_um", "centroid_y_um", "area_um2", "circularity", "haematoxylin_mean", "mean_confidence"
)  # fmt: skip


def count_up(table: Path, frame: FrameInfo) -> SlideNumbers:
    """Return the statistics of the nuclei in a slide's Parquet file.

    Raises
    ------
    StoreError
        If the file is not there or cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    width_um, height_um = frame.width * frame.mpp, frame.height * frame.mpp
    longer = max(width_um, height_um)
    square = next((um for um in SQUARES_UM if longer / um <= MOST_SQUARES), longer / MOST_SQUARES)
    squares = Lattice(math.ceil(height_um / square), math.ceil(width_um / square), square, square)
    rows, cols = (max(1, round(side / FIELD_UM)) for side in (height_um, width_um))
    numbers = SlideNumbers(squares, Lattice(rows, cols, width_um / cols, height_um / rows))
    try:
        with pq.ParquetFile(table) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=list(COLUMNS), use_threads=False):
                numbers.add({name: _plain(batch[name]) for name in COLUMNS})
    except (OSError, pa.ArrowException, KeyError) as error:
        raise StoreError(
            f"{table}: cannot be read ({error}); `wsiseg export` restores it from the store"
        ) from error
    return numbers


def _plain(column: object) -> Values:
    values: Values = column.to_numpy(zero_copy_only=False).astype(np.float64)  # type: ignore[attr-defined]
    return values
