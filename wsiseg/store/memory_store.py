"""A store of one small image in memory: what the pipeline reads and writes, without files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wsiseg.slides.regions import Regions
from wsiseg.slides.tissue import Tissue
from wsiseg.store.blocks import SHARD_PX, STAIN_DOWNSAMPLE
from wsiseg.store.chunks import ChunkFiles, StateFiles
from wsiseg.store.identity import FrameInfo
from wsiseg.store.names import PLANES
from wsiseg.store.slide_store import SlideStore
from wsiseg.store.states import Stage, State
from wsiseg.tiles import Box, Grid

if TYPE_CHECKING:
    import pyarrow as pa

NOWHERE = Path("in memory")


@dataclass(frozen=True)
class Pixels(ChunkFiles):
    """One array in memory, written by squares as if they were files; see `ChunkFiles`."""

    values: npt.NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))

    @classmethod
    def empty(cls, height: int, width: int, dtype: npt.DTypeLike, side_px: int) -> Pixels:
        """Return an array of zeros that is written in squares of `side_px`."""
        return cls(NOWHERE, (height, width), dtype, side_px, side_px, np.zeros((height, width), dtype))

    def write(self, row: int, col: int, values: npt.NDArray[Any]) -> None:
        """Write one square; `values` may end at the array's end."""
        x0, y0 = col * self.file_px, row * self.file_px
        place = Box(x0, y0, x0 + values.shape[1], y0 + values.shape[0])
        self.values[place.slices_in(self.frame)] = values

    def read(self, box: Box) -> npt.NDArray[Any]:
        """Return a copy of the values of a box."""
        return self.values[box.slices_in(self.frame)].copy()


@dataclass(frozen=True)
class States(StateFiles):
    """States in memory; see `StateFiles`."""

    values: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))

    @classmethod
    def of(cls, grid: Grid) -> States:
        """Return the states of the places of a grid, all to do."""
        return cls(NOWHERE, grid.shape, np.zeros(grid.shape, np.uint8))

    def all(self) -> npt.NDArray[np.uint8]:
        """Return a copy of all states."""
        return self.values.copy()

    def at(self, row: int, col: int) -> State:
        """Return the state of one place."""
        return State(self.values[row, col])

    def mark(self, row: int, col: int, state: State) -> None:
        """Set the state of one place."""
        self.values[row, col] = state


class MemoryStore(SlideStore):
    """The arrays, states and records of one image; no pyramid, no provenance, nothing on the disk.

    Parameters
    ----------
    frame : FrameInfo
        Size and resolution of the images.
    tissue : Tissue
        What is computed.
    tile_px : int
        Side of an object tile.
    measurements : {"basic", "all"}
        What is measured of each nucleus.
    """

    def __init__(self, frame: FrameInfo, tissue: Tissue, tile_px: int, measurements: str) -> None:
        super().__init__(NOWHERE)
        self._measurements = measurements
        height, width = frame.height, frame.width
        self.frame, self.tissue, self.regions = frame, tissue, Regions(())
        self.tiles = Grid(width, height, tile_px)
        self.confidence = (Pixels.empty(height, width, np.uint8, SHARD_PX),)
        self.labels = (Pixels.empty(height, width, np.uint32, SHARD_PX),)
        half = self.blocks.frame.halved()
        self.haematoxylin = Pixels.empty(half.height, half.width, np.uint8, SHARD_PX // STAIN_DOWNSAMPLE)
        count = len(PLANES) if measurements == "all" else 0
        self.planes = tuple(Pixels.empty(height, width, np.uint8, SHARD_PX) for _ in range(count))
        self.tile_labels = Pixels.empty(height, width, np.uint32, tile_px)
        self._by_stage = {
            Stage.NETWORK: States.of(self.blocks),
            Stage.OBJECTS: States.of(self.tiles),
            Stage.LABELS: States.of(self.blocks),
        }
        self._records: dict[tuple[int, int, str], pa.Table] = {}
        self._failures: list[dict[str, Any]] = []

    @property
    def measurements(self) -> str:
        """What is measured of each nucleus: basic or all."""
        return self._measurements

    def states(self, stage: Stage, level: int = 0) -> StateFiles:
        """Return the states of a stage; there are no pyramids."""
        return self._by_stage[stage]

    def write_records(self, row: int, col: int, tables: Mapping[str, pa.Table]) -> None:
        """Keep a tile's tables."""
        for name, table in tables.items():
            self._records[row, col, name] = table

    def read_records(self, row: int, col: int, name: str, columns: Sequence[str] = ()) -> pa.Table:
        """Return one of a tile's tables, or some columns of it."""
        table = self._records[row, col, name]
        return table.select(list(columns)) if columns else table

    def write_keys(self, keys: npt.NDArray[np.int64]) -> None:
        """Keep the sorted keys of all nuclei."""
        self.keys = keys

    def note_failure(self, row: int, col: int, cause: str) -> None:
        """Keep why a block stays empty."""
        self._failures.append({"row": row, "col": col, "cause": cause})

    def failures(self) -> list[dict[str, Any]]:
        """Return the blocks that stay empty with their causes, in raster order."""
        return sorted(self._failures, key=lambda failure: (failure["row"], failure["col"]))
