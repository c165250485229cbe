"""The nuclei of a slide, from the Parquet file beside its store: in a tile, at a point, by certainty."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from cachetools import LRUCache, cachedmethod
from numpy.typing import NDArray

from wsiseg.errors import StoreError
from wsiseg.viewer.boxes import BoxIndex
from wsiseg.viewer.rings import Ints, NucleusRings, decoded, from_counts, joined

Values = NDArray[np.float32]

OUTLINE_CACHE_BYTES = 256 * 2**20
NEEDED = ("id", "centroid_x_l0", "centroid_y_l0", "mean_confidence", "geometry")


@dataclass(frozen=True)
class Nucleus:
    """One nucleus: what was measured, and its outline.

    Parameters
    ----------
    row : int
        Its row in the file.
    measures : dict of str to float or None
        By column.
    rings : NucleusRings
        Its outlines.
    """

    row: int
    measures: dict[str, float | int | None]
    rings: NucleusRings


class Nuclei:
    """The nuclei of one Parquet file; outlines are decoded row group by row group and kept within a bound.

    Parameters
    ----------
    path : Path
        `OUT/<name>.parquet`.

    Raises
    ------
    StoreError
        If it is not such a file.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = path
        try:
            self._file = pq.ParquetFile(path)
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{path}: not a Parquet file of nuclei: {error}") from error
        schema = self._file.schema_arrow
        missing = [name for name in NEEDED if name not in schema.names]
        if missing:
            raise StoreError(f"{path}: not a Parquet file of nuclei: no column {', '.join(missing)}")
        self.units = {
            field.name: (field.metadata or {}).get(b"unit", b"").decode()
            for field in schema
            if field.name != "geometry"
        }
        metadata = self._file.metadata
        counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self._group_start = from_counts(np.array(counts, np.int64))
        self._reading = threading.Lock()
        self._indexing = threading.Lock()
        self._outlines: LRUCache[Any, NucleusRings] = LRUCache(
            OUTLINE_CACHE_BYTES, lambda rings: rings.nbytes
        )
        self._caching = threading.Lock()
        self._columns: dict[str, Values] = {}

    def __len__(self) -> int:
        return int(self._group_start[-1])

    def column(self, name: str) -> Values:
        """Return a measurement of all nuclei, NaN where there is none.

        Raises
        ------
        LookupError
            If there is no such column.
        """
        if name not in self.units:
            raise LookupError(f"no column {name}")
        if name not in self._columns:
            with self._reading:
                table = self._file.read(columns=[name])
            self._columns[name] = table[name].to_numpy().astype(np.float32)
        return self._columns[name]

    @property
    def confidence(self) -> Values:
        """Mean confidence of each nucleus, 0 to 1."""
        return self.column("mean_confidence")

    @property
    def index(self) -> BoxIndex:
        """The boxes of all nuclei; built at the first call."""
        with self._indexing:
            return self._index

    @cached_property
    def _index(self) -> BoxIndex:
        groups = range(len(self._group_start) - 1)
        bounds = [self._group(group).bounds() for group in groups]
        return BoxIndex(np.concatenate([np.empty((0, 4), np.float32), *bounds]))

    def meeting(self, x0_l0: float, y0_l0: float, x1_l0: float, y1_l0: float) -> tuple[Ints, NucleusRings]:
        """Return the rows, ascending, and the outlines of the nuclei whose box meets a rectangle."""
        rows = self.index.meeting(x0_l0, y0_l0, x1_l0, y1_l0)
        return rows, self.outlines(rows)

    def outlines(self, rows: Ints) -> NucleusRings:
        """Return the outlines of some rows, given in ascending order."""
        group_of = np.searchsorted(self._group_start, rows, side="right") - 1
        return joined(
            [
                self._group(int(group)).take(rows[group_of == group] - self._group_start[group])
                for group in np.unique(group_of)
            ]
        )

    def at(self, x_l0: float, y_l0: float, tolerance_l0: float) -> Nucleus | None:
        """Return the nucleus at a point, or the one with the nearest point of its outline within reach."""
        t = tolerance_l0
        rows, rings = self.meeting(x_l0 - t, y_l0 - t, x_l0 + t, y_l0 + t)
        holding = np.flatnonzero(rings.contain(x_l0, y_l0))
        if len(holding):
            return self.nucleus(int(rows[holding[0]]))
        distance = np.hypot(*(rings.points.astype(np.float64) - (x_l0, y_l0)).T)
        if not len(distance) or distance.min() > t:
            return None
        ring = np.searchsorted(rings.ring_start, distance.argmin(), side="right") - 1
        return self.nucleus(int(rows[np.searchsorted(rings.nucleus_start, ring, side="right") - 1]))

    def least_certain(self, rank: int) -> Nucleus:
        """Return the nucleus with the `rank`-th lowest mean confidence, counted from 0.

        Raises
        ------
        LookupError
            If there are not so many.
        """
        if not 0 <= rank < len(self):
            raise LookupError(f"no nucleus of rank {rank}")
        return self.nucleus(int(self._by_certainty[rank]))

    @cached_property
    def _by_certainty(self) -> Ints:
        return np.argsort(self.confidence, kind="stable")

    def nucleus(self, row: int) -> Nucleus:
        """Return everything known of one row."""
        group = int(np.searchsorted(self._group_start, row, side="right")) - 1
        place = row - int(self._group_start[group])
        with self._reading:
            table = self._file.read_row_group(group, columns=list(self.units))
        measures: dict[str, Any] = table.slice(place, 1).to_pylist()[0]
        return Nucleus(row, measures, self.outlines(np.array([row])))

    @cachedmethod(lambda self: self._outlines, lock=lambda self: self._caching)
    def _group(self, group: int) -> NucleusRings:
        with self._reading:
            column = self._file.read_row_group(group, columns=["geometry"])["geometry"]
        return decoded(column)
