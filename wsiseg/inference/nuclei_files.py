"""The files of a slide's nuclei, streamed from the records in its store."""

from __future__ import annotations

from wsiseg.config import PredictConfig
from wsiseg.machine.marks import is_ours
from wsiseg.objects.geojson import GeoJSONWriter
from wsiseg.objects.parquet import ParquetWriter, file_schema
from wsiseg.store.nuclei_tables import complete_nuclei
from wsiseg.store.outputs import Outputs
from wsiseg.store.slide_store import SlideStore


def write_nuclei(store: SlideStore, outputs: Outputs, config: PredictConfig) -> None:
    """Write GeoJSON and Parquet; delete parts of an earlier GeoJSON that are not among the new ones."""
    with (
        GeoJSONWriter(outputs.geojson, store.fingerprint, gzip=config.gzip, split=config.split) as geojson,
        ParquetWriter(outputs.parquet, file_schema(store.measurements, bool(store.regions))) as parquet,
    ):
        for table in complete_nuclei(store):
            geojson.write(table)
            parquet.write(table)
    for stale in set(outputs.geojson_files()) - set(geojson.paths):
        if is_ours(stale):
            stale.unlink()
