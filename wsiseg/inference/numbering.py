"""From the records of tiles to numbered nuclei: the ids 1..N, in an order that no tiling changes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wsiseg.inference.stages import CELL_PX, marker_keys
from wsiseg.inference.store import DONE, SlideStore


def numbered_nuclei(store: SlideStore) -> Iterator[tuple[pa.Table, npt.NDArray[np.int64]]]:
    """Yield all nuclei in the order of their ids, a row of cells at a time.

    Yields
    ------
    table : pyarrow.Table
        Records with the column `id` (uint32) first.
    keys : ndarray of int64, (rows of the table,)
        Their sort keys, see `marker_keys`.
    """
    done = np.asarray(store.array("status/objects")[:]) == DONE
    tile_px, width, height = store.tiles.core_px, store.frame.width, store.frame.height
    last_id = 0
    rows_read: dict[int, pa.Table | None] = {}
    for y0 in range(0, height, CELL_PX):
        tile_rows = range(y0 // tile_px, -(-min(y0 + CELL_PX, height) // tile_px))
        rows_read = {row: rows_read[row] if row in rows_read else _row(store, row, done) for row in tile_rows}
        parts = [_between(table, y0, y0 + CELL_PX) for table in rows_read.values() if table is not None]
        parts = [part for part in parts if part.num_rows]
        if not parts:
            continue
        table = pa.concat_tables(parts)
        keys = marker_keys(table, width)
        order = np.argsort(keys)
        ids = np.arange(last_id + 1, last_id + 1 + len(order), dtype=np.uint32)
        last_id += len(order)
        yield table.take(pa.array(order)).add_column(0, "id", pa.array(ids)), keys[order]


def _row(store: SlideStore, row: int, done: npt.NDArray[np.bool_]) -> pa.Table | None:
    tables = [store.read_records(row, int(col), "nuclei") for col in np.flatnonzero(done[row])]
    return pa.concat_tables(tables) if tables else None


def _between(table: pa.Table, y0: int, y1: int) -> pa.Table:
    rows = table["marker_row"].to_numpy()
    return table.filter(pa.array((rows >= y0) & (rows < y1)))
