"""Nuclei again from the confidence in a store, with other thresholds, without the network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from wsiseg.config import ObjectsConfig, PredictConfig
from wsiseg.cores import available_cores
from wsiseg.errors import StoreError
from wsiseg.inference.again import nuclei_again
from wsiseg.inference.graph import open_cluster
from wsiseg.inference.outputs import Observer, Outputs
from wsiseg.inference.slide import Tally, write_nuclei
from wsiseg.inference.store import SlideStore


@dataclass(frozen=True)
class Exported:
    """Files of an export and the nuclei in them."""

    geojson: tuple[Path, ...]
    parquet: Path
    nuclei: int


def export(
    store: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    config: PredictConfig | None = None,
    observer: Observer | None = None,
) -> Exported:
    """Write GeoJSON and Parquet from a finished store.

    Parameters
    ----------
    store : path-like
        `OUT/<name>.zarr`.
    output : path-like, optional
        Folder of the files; the store's own if left out. Files of the same name are replaced.
    config : PredictConfig, optional
        Its `objects` are the settings (a threshold of None takes the store's); `gzip`, `split`, `tile_px` and
        `workers` as in `predict`. Left out, the settings with which the store's nuclei were found.

    Raises
    ------
    StoreError
        If the store is not one that `predict` finished, or the files cannot be written.
    """
    source = open_finished(Path(store))
    config = config or PredictConfig(objects=stored_objects(source))
    folder = Path(output) if output is not None else source.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be made: {error.strerror or error}") from error
    outputs = Outputs(folder, source.path.name.removesuffix(".zarr"), config.gzip)
    threshold = config.objects.threshold or float(source.provenance["identity"]["objects"]["threshold"])
    workers = available_cores() if config.workers is None else config.workers
    tally = Tally(observer or Observer())
    with (
        open_cluster(config.scheduler, workers) as cluster,
        nuclei_again(
            source, outputs.scratch, config.objects, threshold, config.tile_px, cluster, tally.add
        ) as found,
    ):
        keys = write_nuclei(found, outputs, config)
    return Exported(tuple(outputs.geojson_files()), outputs.parquet, len(keys))


def stored_objects(store: SlideStore) -> ObjectsConfig:
    """Return the settings with which a store's nuclei were found."""
    stored: Mapping[str, Any] = store.provenance["identity"]["objects"]
    known = asdict(ObjectsConfig())
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in stored.items()
        if key in known
    }
    return replace(ObjectsConfig(), **values)


def open_finished(path: Path) -> SlideStore:
    """Return a finished store."""
    if not path.is_dir():
        raise StoreError(f"{path}: no such store; give a folder OUT/<name>.zarr that `wsiseg predict` wrote")
    store = SlideStore(path.resolve())
    if store.provenance.get("state") != "complete":
        raise StoreError(
            f"{path}: the slide is not finished; run the same `wsiseg predict` again to resume it"
        )
    return store
