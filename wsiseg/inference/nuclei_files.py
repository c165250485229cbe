"""The files of a slide's nuclei, streamed from the records in its store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from wsiseg.config import PredictConfig
from wsiseg.errors import StoreError
from wsiseg.machine.locks import BusyError, held_lock
from wsiseg.machine.marks import is_ours
from wsiseg.objects.geojson import GeoJSONWriter
from wsiseg.objects.one_table import add_slides
from wsiseg.objects.parquet import ParquetWriter, file_schema
from wsiseg.store.nuclei_tables import complete_nuclei
from wsiseg.store.outputs import ONE_TABLE, Outputs
from wsiseg.store.slide_store import SlideStore

# Another run in the folder puts its tables together for seconds.
TABLE_WAIT_S = 120.0


def write_nuclei(store: SlideStore, outputs: Outputs, config: PredictConfig) -> None:
    """Write GeoJSON and Parquet, whichever are kept; other parts of an earlier GeoJSON go."""
    with ExitStack() as stack:
        schema = file_schema(store.measurements, bool(store.regions))
        writers: list[GeoJSONWriter | ParquetWriter] = []
        if "geojson" in outputs.only:
            geojson = GeoJSONWriter(
                outputs.geojson, store.fingerprint, config.gzip, config.split, store.scan_l0, config.origin
            )
            writers.append(stack.enter_context(geojson))
        if "parquet" in outputs.only:
            writers.append(stack.enter_context(ParquetWriter(outputs.parquet, schema)))
        for table in complete_nuclei(store) if writers else ():
            for writer in writers:
                writer.write(table)
    if "geojson" in outputs.only:
        for stale in set(outputs.geojson_files()) - set(geojson.paths):
            if is_ours(stale):
                stale.unlink()


def gather_tables(folder: Path, names: Sequence[str]) -> str:
    """Put the tables of slides into the one of the folder; return what went wrong, or nothing.

    A slide's own table goes when it is in the common one, so that a run that is stopped in between leaves
    one or the other, or both, and the next run tidies up.
    """
    own = {name: Outputs(folder, name).parquet for name in names}
    own = {name: path for name, path in own.items() if path.is_file() and is_ours(path)}
    try:
        with held_lock(folder / f".{ONE_TABLE}.lock", wait_s=TABLE_WAIT_S):
            add_slides(folder / ONE_TABLE, own)
            for path in own.values():
                path.unlink()
    except (StoreError, BusyError) as error:
        return str(error)
    except OSError as error:
        return f"{folder / ONE_TABLE}: cannot be written: {error.strerror or error}"
    return ""
