"""Numbers the nuclei in the tiles' records: ids 1..N, in an order that does not depend on the tiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wsiseg.store.slide_store import SlideStore
from wsiseg.store.states import Stage, State

# The tables of a tile, and the columns with the pixel that marks each nucleus.
NUCLEI, MARKERS = "nuclei", "markers"
MARKER = ("marker_row", "marker_col")
# Nuclei are numbered square by square of this side.
SQUARE_PX = 2048


def marker_keys(table: pa.Table, width: int) -> npt.NDArray[np.int64]:
    """Return keys that sort nuclei by square of SQUARE_PX, row and column; the same for any tiles.

    Parameters
    ----------
    table : pyarrow.Table
        With the marker pixels in the columns `marker_row` and `marker_col`.
    width : int
        Width of the frame in pixels.
    """
    rows, cols = (table[name].to_numpy().astype(np.int64) for name in MARKER)
    squares = (rows // SQUARE_PX) * -(-width // SQUARE_PX) + cols // SQUARE_PX
    keys: npt.NDArray[np.int64] = (squares * SQUARE_PX + rows % SQUARE_PX) * SQUARE_PX + cols % SQUARE_PX
    return keys


def sorted_keys(store: SlideStore) -> npt.NDArray[np.int64]:
    """Return the keys of all nuclei in the order of their ids, see `marker_keys`."""
    done = np.argwhere(store.states(Stage.OBJECTS).all() == State.DONE)
    tables = (store.read_records(int(row), int(col), NUCLEI, MARKER) for row, col in done)
    keys = [marker_keys(table, store.frame.width) for table in tables]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *keys]))


def numbered_nuclei(store: SlideStore) -> Iterator[pa.Table]:
    """Yield the records of all nuclei in the order of their ids, a square at a time.

    Yields
    ------
    pyarrow.Table
        Records with the column `id` (uint32) first.
    """
    done = store.states(Stage.OBJECTS).all() == State.DONE
    tile_px, width, height = store.tiles.core_px, store.frame.width, store.frame.height
    last_id = 0
    for y0 in range(0, height, SQUARE_PX):
        tiles: dict[tuple[int, int], pa.Table] = {}
        for x0 in range(0, width, SQUARE_PX):
            rows, cols = _meeting(y0, height, tile_px), _meeting(x0, width, tile_px)
            places = [(row, col) for row in rows for col in cols if done[row, col]]
            tiles = {place: _records(store, place, tiles) for place in places}
            parts = [_inside(table, y0, x0) for table in tiles.values()]
            parts = [part for part in parts if part.num_rows]
            if not parts:
                continue
            table = pa.concat_tables(parts).combine_chunks()
            order = np.argsort(marker_keys(table, width))
            ids = np.arange(last_id + 1, last_id + 1 + len(order), dtype=np.uint32)
            last_id += len(order)
            yield table.take(pa.array(order)).add_column(0, "id", pa.array(ids))


def _meeting(start: int, end: int, tile_px: int) -> range:
    """Return the tiles along one axis that a square meets."""
    return range(start // tile_px, -(-min(start + SQUARE_PX, end) // tile_px))


def _records(store: SlideStore, place: tuple[int, int], read: Mapping[tuple[int, int], pa.Table]) -> pa.Table:
    return read[place] if place in read else store.read_records(*place, NUCLEI)


def _inside(table: pa.Table, y0: int, x0: int) -> pa.Table:
    """Return the nuclei of one square."""
    rows, cols = (table[name].to_numpy() for name in MARKER)
    inside = (rows >= y0) & (rows < y0 + SQUARE_PX) & (cols >= x0) & (cols < x0 + SQUARE_PX)
    return table if inside.all() else table.filter(pa.array(inside))
