"""The nuclei of a store as they are written: numbered, with the measurements that need the whole slide."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wsiseg.objects.neighbours import NEIGHBOURS, REACH_UM, neighbours
from wsiseg.store.numbering import MARKER, NUCLEI, numbered_nuclei
from wsiseg.store.slide_store import SlideStore
from wsiseg.store.states import Stage, State
from wsiseg.tiles import Box

CENTRE = ("centroid_x_um", "centroid_y_um")


def complete_nuclei(store: SlideStore) -> Iterator[pa.Table]:
    """Yield the nuclei in the order of their ids, some thousands at a time, with all columns of the file."""
    if store.measurements == "basic":
        yield from numbered_nuclei(store)
        return
    surroundings = Surroundings(store)
    for table in numbered_nuclei(store):
        centres = _centres(table)
        found = neighbours(centres, surroundings.around(centres))
        for field in NEIGHBOURS:
            table = table.append_column(field, found[field.name])
        yield table


class Surroundings:
    """The nuclei around some others, read from the records of the tiles that may hold them.

    Parameters
    ----------
    store : SlideStore
        With the records of all nuclei.
    """

    def __init__(self, store: SlideStore) -> None:
        self._store = store
        self._done = store.states(Stage.OBJECTS).all() == State.DONE
        # A tile owns the nuclei whose marker it holds; their centres may lie outside.
        strays = (_stray_um(self._read(row, col, MARKER), store) for row, col in self._tiles())
        self._stray_um = max(strays, default=0.0)

    def _tiles(self) -> Iterator[tuple[int, int]]:
        for row, col in np.argwhere(self._done):
            yield int(row), int(col)

    def _read(self, row: int, col: int, more: tuple[str, ...] = ()) -> pa.Table:
        return self._store.read_records(row, col, NUCLEI, (*more, *CENTRE))

    def around(self, centres_um: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the centres of all nuclei within `REACH_UM` of the box around some, float64 (m, 2)."""
        low, high = centres_um.min(0) - REACH_UM, centres_um.max(0) + REACH_UM
        mpp, tiles = self._store.frame.mpp, self._store.tiles
        first = np.floor((low - self._stray_um) / mpp).astype(int).tolist()
        last = np.ceil((high + self._stray_um) / mpp).astype(int).tolist()
        found = [
            _centres(self._read(tile.row, tile.col))
            for tile in tiles.meeting(Box(*first, *last))
            if self._done[tile.row, tile.col]
        ]
        whole = np.concatenate(found)
        is_near = ((whole >= low) & (whole <= high)).all(1)
        near: npt.NDArray[np.float64] = whole[is_near]
        return near


def _centres(table: pa.Table) -> npt.NDArray[np.float64]:
    return np.stack([table[name].to_numpy() for name in CENTRE], 1)


def _stray_um(table: pa.Table, store: SlideStore) -> float:
    """Return how far a centre lies from its marker along an axis at most."""
    if not table.num_rows:
        return 0.0
    marker = np.stack([table[name].to_numpy() for name in MARKER[::-1]], 1) * store.frame.mpp
    return float(np.abs(_centres(table) - marker).max())
