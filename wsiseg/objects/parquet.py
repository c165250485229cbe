"""Parquet, one row per nucleus, streamed in row groups; units are in the fields' metadata."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from wsiseg.machine.marks import PARQUET_ID_UNIT
from wsiseg.machine.replacing import check_free
from wsiseg.machine.whole import beside, settle
from wsiseg.objects.neighbours import NEIGHBOURS
from wsiseg.objects.records import REGION, records_schema

ROWS_A_GROUP = 65_536

GEO = {
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Polygon", "MultiPolygon"], "crs": None}},
}
"""GeoParquet's note on the geometry column: plane coordinates, in level-0 pixels."""

LEFT_OUT = ("marker_row", "marker_col", "exact_area_px")


def file_schema(measurements: str = "basic", with_region: bool = False) -> pa.Schema:
    """Return the schema of the file: a nucleus's number, records, with "all" neighbours, region, outline."""
    fields = [pa.field("id", pa.uint32(), metadata={"unit": PARQUET_ID_UNIT})]
    fields += [field for field in records_schema(measurements) if field.name not in LEFT_OUT]
    if measurements == "all":
        fields[-1:-1] = NEIGHBOURS
    if with_region:
        fields.insert(-1, REGION)
    return pa.schema(fields, metadata={"geo": json.dumps(GEO)})


class ParquetWriter:
    """Write nuclei to a Parquet file as they come.

    The file is written beside its place and takes its name when the ``with`` block ends without an exception;
    otherwise nothing is left.

    Parameters
    ----------
    path : Path or str
        The file.
    schema : pyarrow.Schema, optional
        Its columns, see `file_schema`.
    """

    def __init__(self, path: Path | str, schema: pa.Schema | None = None) -> None:
        self.path = Path(path)
        self._schema = file_schema() if schema is None else schema
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        self._writer = pq.ParquetWriter(beside(self.path), self._schema, compression="zstd")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._writer is not None
        try:
            if kind is None:
                self._flush()
            self._writer.close()
            if kind is None:
                check_free(self.path)
                settle(self.path)
        finally:
            beside(self.path).unlink(missing_ok=True)

    def write(self, table: pa.Table) -> None:
        """Append the nuclei of a record table that has a column ``id``."""
        self._waiting.append(table.select(self._schema.names).cast(self._schema))
        self._rows += table.num_rows
        if self._rows >= ROWS_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        assert self._writer is not None
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=ROWS_A_GROUP)
        self._waiting, self._rows = [], 0
