"""One Parquet file for the nuclei of many slides, put together from the tables of each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wsiseg.errors import StoreError
from wsiseg.machine.replacing import check_free
from wsiseg.machine.whole import put_whole
from wsiseg.objects.parquet import ROWS_A_GROUP

SLIDE = pa.field("slide", pa.dictionary(pa.int32(), pa.string()), metadata={"unit": "name of the outputs"})
# Also slides without nuclei are in the table.
SLIDES_KEY = b"wsiseg.slides"


def slides_of(table: Path) -> list[str]:
    """Return the names of the slides that a table holds; none where there is no such table."""
    try:
        metadata = pq.read_metadata(table).metadata or {}
    except (OSError, pa.ArrowException):
        return []
    return list(json.loads(metadata.get(SLIDES_KEY, b"[]")))


def add_slides(table: Path, slides: Mapping[str, Path]) -> None:
    """Put the tables of slides into one; slides that it has already are replaced, the others stay.

    Memory is that of one batch of rows. The table is written beside its place and takes its name when whole.

    Parameters
    ----------
    table : Path
        Made if absent.
    slides : mapping of str to Path
        Name of each slide -> its own Parquet file.

    Raises
    ------
    StoreError
        If the slides have other columns than those that are there, or the file is not wsiseg's.
    """
    check_free(table)
    kept = [name for name in slides_of(table) if name not in slides]
    if not slides:
        return
    with ExitStack() as stack:
        files = {name: stack.enter_context(pq.ParquetFile(path)) for name, path in slides.items()}
        schema = _schema(next(iter(files.values())).schema_arrow)
        before = stack.enter_context(pq.ParquetFile(table)) if kept else None
        other = [name for name, file in files.items() if not _schema(file.schema_arrow).equals(schema)]
        if before is not None and not before.schema_arrow.remove_metadata().equals(schema.remove_metadata()):
            other = [table.name]
        if other:
            raise StoreError(
                f"{table}: {other[0]} has other columns than the rest (--measurements); the tables of these "
                "slides are left as they are, one each"
            )
        with put_whole(table) as beside, pq.ParquetWriter(beside, schema, compression="zstd") as writer:
            if before is not None:
                names = pa.array(kept)
                for rows in before.iter_batches(ROWS_A_GROUP):
                    writer.write_batch(rows.filter(pc.is_in(rows["slide"].cast(pa.string()), names)))
            for name, file in files.items():
                for rows in _named(name, file, schema):
                    writer.write_batch(rows)
            writer.add_key_value_metadata({SLIDES_KEY: json.dumps([*kept, *slides])})


def _schema(schema: pa.Schema) -> pa.Schema:
    return schema.insert(0, SLIDE)


def _named(name: str, file: pq.ParquetFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a slide with its name before them."""
    for rows in file.iter_batches(ROWS_A_GROUP):
        column = pa.array([name] * len(rows), pa.string()).dictionary_encode()
        yield pa.RecordBatch.from_arrays([column, *rows.columns], schema=schema)
