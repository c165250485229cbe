"""Types written to the files of a slide: a class and its probability for every nucleus."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wsiseg.errors import StoreError
from wsiseg.machine.locks import BusyError, held_lock
from wsiseg.machine.marks import first_line, geojson_head, is_ours
from wsiseg.machine.replacing import check_free
from wsiseg.objects.geojson import GeoJSONWriter
from wsiseg.objects.parquet import ParquetWriter
from wsiseg.store.finished import open_finished
from wsiseg.store.outputs import Outputs
from wsiseg.store.slide_store import SlideStore
from wsiseg.types.features import CENTRE
from wsiseg.types.model import TypesModel

CLASS = pa.field("class", pa.string(), metadata={"unit": "name"})
PROBABILITY = pa.field("class_probability", pa.float32(), metadata={"unit": "1"})
ROWS_AT_ONCE = 65_536


def apply_types(parquet: Path, model: TypesModel) -> dict[str, int]:
    """Write the class of every nucleus of a slide into its Parquet file, and its GeoJSON where there is one.

    The numbers of one slide are in memory at once, some 250 MB for a million nuclei; outlines are streamed.

    Parameters
    ----------
    parquet : Path
        `OUT/<name>.parquet`, with its store beside it.
    model : TypesModel

    Returns
    -------
    dict of str to int
        Nuclei of each class.

    Raises
    ------
    StoreError
        If the files cannot be read or written, or another run works on the slide.
    UsageError
        If the table lacks a column, or a file is in the way that wsiseg did not make.
    """
    name = parquet.name.removesuffix(".parquet")
    outputs = Outputs(parquet.parent, name)
    store = open_finished(outputs.store)
    try:
        with held_lock(outputs.lock, work=store.fingerprint):
            counts = _apply(outputs, model, store)
            told = [{"name": kind, "nuclei": many} for kind, many in counts.items()]
            store.annotate(summary={**store.provenance.get("summary", {}), "types": told})
    except BusyError as error:
        raise StoreError(f"{parquet}: {error}; try again when it is done") from error
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{parquet}: cannot be rewritten: {error}") from error
    return counts


def _apply(outputs: Outputs, model: TypesModel, store: SlideStore) -> dict[str, int]:
    scan_l0 = store.scan_l0
    source = pq.ParquetFile(outputs.parquet, memory_map=True)
    numbers, probability = model.classify(source.read(columns=[*model.features, *CENTRE]))
    old = [field for field in source.schema_arrow if field.name not in (CLASS.name, PROBABILITY.name)]
    schema = pa.schema([*old[:-1], CLASS, PROBABILITY, old[-1]], source.schema_arrow.metadata)
    plain, packed = (replace(outputs, gzip=is_packed).geojson_files() for is_packed in (False, True))
    targets = replace(outputs, gzip=bool(packed) and not plain)
    names = np.array(model.names, object)
    colours = dict(zip(model.names, model.colours, strict=True))
    check_free(outputs.parquet)
    geojson = None
    if plain or packed:
        check_free(targets.geojson)
        # Coordinates count from where they did.
        from_scan = scan_l0 and first_line([*plain, *packed][0]) == geojson_head(scan_l0, "scan")
        geojson = GeoJSONWriter(
            targets.geojson,
            store.fingerprint,
            gzip=targets.gzip,
            scan_l0=scan_l0,
            origin="scan" if from_scan else "slide",
            colours=colours,
        )
    with ParquetWriter(outputs.parquet, schema) as parquet:
        first = 0
        with geojson or _Nothing() as shapes:
            for batch in source.iter_batches(ROWS_AT_ONCE, columns=[field.name for field in old]):
                rows = slice(first, first + batch.num_rows)
                first = rows.stop
                table = pa.Table.from_batches([batch])
                table = table.append_column(CLASS, pa.array(names[numbers[rows]], pa.string()))
                table = table.append_column(PROBABILITY, pa.array(probability[rows]))
                parquet.write(table)
                shapes.write(table)
    for stale in {*plain, *packed} - {targets.geojson}:
        if geojson is not None and is_ours(stale):
            stale.unlink()
    counts = np.bincount(numbers, minlength=len(names))
    return {kind: int(many) for kind, many in zip(model.names, counts, strict=True)}


class _Nothing:
    """A writer where there is no GeoJSON to write."""

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, table: pa.Table) -> None:
        """Drop the nuclei."""
