"""Nuclei again from the confidence in a store, with other thresholds, without the network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from wsiseg.config import ObjectsConfig, PredictConfig
from wsiseg.errors import StoreError
from wsiseg.inference.graph import open_cluster
from wsiseg.inference.outputs import Observer, Outputs
from wsiseg.inference.plan import object_tasks
from wsiseg.inference.slide import Tally, write_nuclei
from wsiseg.inference.stages import ObjectsJob
from wsiseg.inference.store import FrameInfo, Identity, SlideStore, create_store


@dataclass(frozen=True)
class Exported:
    """Files of an export and the nuclei in them."""

    geojson: Path
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
        `workers` as in `predict`.

    Raises
    ------
    StoreError
        If the store is not one that `predict` finished, or the files cannot be written.
    """
    config = config or PredictConfig()
    source = open_finished(Path(store))
    folder = Path(output) if output is not None else source.path.parent
    folder.mkdir(parents=True, exist_ok=True)
    outputs = Outputs(folder, str(source.provenance["name"]), config.gzip)
    threshold = config.objects.threshold or float(source.provenance["identity"]["objects"]["threshold"])
    workers = config.workers or len(os.sched_getaffinity(0))
    scratch = folder / f".{outputs.name}.{os.getpid()}.export"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        target = _scratch_store(scratch, source, config, threshold)
        job = ObjectsJob(source, target, source.tissue, config.objects, threshold)
        with open_cluster(config.scheduler, workers) as cluster:
            cluster.run(object_tasks(job, {}), Tally(observer or Observer()).add)
        keys = write_nuclei(target, outputs, config)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Exported(outputs.geojson, outputs.parquet, len(keys))


def stored_objects(store: SlideStore) -> ObjectsConfig:
    """Return the settings with which a store's nuclei were found."""
    stored: Mapping[str, Any] = store.provenance["identity"]["objects"]
    known = asdict(ObjectsConfig())
    return replace(ObjectsConfig(), **{key: value for key, value in stored.items() if key in known})


def open_finished(path: Path) -> SlideStore:
    """Return a finished store."""
    if not path.is_dir():
        raise StoreError(f"{path}: no such store; give a folder OUT/<name>.zarr that `wsiseg predict` wrote")
    store = SlideStore(path)
    if store.provenance.get("state") != "complete":
        raise StoreError(f"{path}: the slide is not finished; run the same `wsiseg predict` again to resume it")
    return store


def _scratch_store(path: Path, source: SlideStore, config: PredictConfig, threshold: float) -> SlideStore:
    stored = source.provenance["identity"]
    identity = Identity(
        stored["model"],
        stored["slide"],
        FrameInfo(**stored["frame"]),
        {**asdict(config.objects), "threshold": threshold},
        stored["tissue"],
    )
    return create_store(path, identity, source.tissue, config.tile_px, {"name": source.provenance["name"]})
