"""From the records of tiles to numbered nuclei: the ids 1..N, in an order that no tiling changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wsiseg.inference.stages import CELL_PX, marker_keys
from wsiseg.store.slide_store import DONE, SlideStore

MARKER = ("marker_row", "marker_col")


def numbered_nuclei(store: SlideStore) -> Iterator[tuple[pa.Table, npt.NDArray[np.int64]]]:
    """Yield all nuclei in the order of their ids, a cell at a time.

    Yields
    ------
    table : pyarrow.Table
        Records with the column `id` (uint32) first.
    keys : ndarray of int64, (rows of the table,)
        Their sort keys, see `marker_keys`.
    """
    done = store.status("objects").all() == DONE
    tile_px, width, height = store.tiles.core_px, store.frame.width, store.frame.height
    last_id = 0
    for y0 in range(0, height, CELL_PX):
        tiles: dict[tuple[int, int], pa.Table] = {}
        for x0 in range(0, width, CELL_PX):
            rows, cols = _meeting(y0, height, tile_px), _meeting(x0, width, tile_px)
            places = [(row, col) for row in rows for col in cols if done[row, col]]
            tiles = {place: _of(store, place, tiles) for place in places}
            parts = [_inside(table, y0, x0) for table in tiles.values()]
            parts = [part for part in parts if part.num_rows]
            if not parts:
                continue
            table = pa.concat_tables(parts).combine_chunks()
            keys = marker_keys(table, width)
            order = np.argsort(keys)
            ids = np.arange(last_id + 1, last_id + 1 + len(order), dtype=np.uint32)
            last_id += len(order)
            yield table.take(pa.array(order)).add_column(0, "id", pa.array(ids)), keys[order]


def sorted_keys(store: SlideStore) -> npt.NDArray[np.int64]:
    """Return the keys of all nuclei in the order of their ids, see `marker_keys`."""
    done = np.argwhere(store.status("objects").all() == DONE)
    places = (store.read_records(int(row), int(col), "nuclei", MARKER) for row, col in done)
    keys = [marker_keys(table, store.frame.width) for table in places]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *keys]))


def _meeting(start: int, end: int, tile_px: int) -> range:
    """Return the tiles along one axis that a cell meets."""
    return range(start // tile_px, -(-min(start + CELL_PX, end) // tile_px))


def _of(store: SlideStore, place: tuple[int, int], read: Mapping[tuple[int, int], pa.Table]) -> pa.Table:
    return read[place] if place in read else store.read_records(*place, "nuclei")


def _inside(table: pa.Table, y0: int, x0: int) -> pa.Table:
    """Return the nuclei of one cell."""
    rows, cols = (table[name].to_numpy() for name in MARKER)
    inside = (rows >= y0) & (rows < y0 + CELL_PX) & (cols >= x0) & (cols < x0 + CELL_PX)
    return table if inside.all() else table.filter(pa.array(inside))
