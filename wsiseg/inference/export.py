"""Nuclei from the confidence in a finished store, with other settings and without the network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from wsiseg.config import ObjectsConfig, PredictConfig
from wsiseg.errors import StoreError
from wsiseg.inference.clusters import open_cluster
from wsiseg.inference.compute import Tally, compute
from wsiseg.inference.graph import Cluster
from wsiseg.inference.job import SlideJob
from wsiseg.inference.nuclei_files import write_nuclei
from wsiseg.inference.observer import PredictObserver
from wsiseg.inference.planner import plan
from wsiseg.machine.allocator import give_back
from wsiseg.machine.cores import available_cores
from wsiseg.machine.locks import BusyError, Held, held_lock
from wsiseg.machine.replacing import refuse_foreign
from wsiseg.store.damage import damage_named
from wsiseg.store.finished import open_finished
from wsiseg.store.identity import Identity
from wsiseg.store.layout import create_store
from wsiseg.store.numbering import sorted_keys
from wsiseg.store.outputs import STORE, Outputs
from wsiseg.store.slide_store import SlideStore
from wsiseg.store.states import Stage

# Smaller than for `predict`: nothing else fills the memory, and a million nuclei fit 500 MB.
TILE_PX = 1024


@dataclass(frozen=True)
class Exported:
    """The files of an export and the number of nuclei in them."""

    geojson: tuple[Path, ...]
    parquet: Path
    nuclei: int


def export(
    store: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    config: PredictConfig | None = None,
    observer: PredictObserver | None = None,
) -> Exported:
    """Write GeoJSON and Parquet from a finished store.

    Parameters
    ----------
    store : path-like
        `OUT/<name>.zarr`.
    output : path-like, optional
        Folder of the files; the store's own if left out. Files of the same name are replaced if wsiseg made
        them.
    config : PredictConfig, optional
        Its `objects` are the settings (a threshold of None takes the store's); `gzip`, `split`, `tile_px` and
        `workers` as in `predict`. Left out, the settings with which the store's nuclei were found.

    Raises
    ------
    StoreError
        If the store is not one that `predict` finished, or the files cannot be written.
    UsageError
        If wsiseg did not write the files that have these names.
    """
    with damage_named(Path(store)):
        return _export(Path(store), output, config, observer)


def _export(
    store: Path,
    output: str | os.PathLike[str] | None,
    config: PredictConfig | None,
    observer: PredictObserver | None,
) -> Exported:
    source = open_finished(store)
    config = config or PredictConfig(objects=stored_objects(source), tile_px=TILE_PX)
    folder = Path(output) if output is not None else source.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be made: {error.strerror or error}") from error
    outputs = Outputs(folder, source.path.name.removesuffix(STORE), config.gzip)
    parts = outputs.geojson_files() if config.split is not None else []
    refuse_foreign([outputs.geojson, outputs.parquet, *parts])
    threshold = config.objects.threshold or source.threshold
    config = replace(config, objects=replace(config.objects, threshold=threshold))
    workers = available_cores() if config.workers is None else config.workers
    with (
        _alone(outputs, source.fingerprint) as claim,
        open_cluster(config.scheduler, workers) as cluster,
        find_nuclei_again(
            source, outputs.scratch, config, cluster, claim, observer or PredictObserver()
        ) as found,
    ):
        if not SlideStore(source.path).is_same_as(source):
            raise StoreError(f"{source.path}: was removed or replaced while it was read; nothing is written")
        write_nuclei(found, outputs, config)
        nuclei = len(found.keys)
    return Exported(tuple(outputs.geojson_files()), outputs.parquet, nuclei)


@contextmanager
def find_nuclei_again(
    source: SlideStore,
    scratch: Path,
    config: PredictConfig,
    cluster: Cluster,
    claim: Held,
    observer: PredictObserver,
) -> Iterator[SlideStore]:
    """Find the nuclei of a finished store again; yield a store of their records, deleted when the block ends.

    Parameters
    ----------
    source : SlideStore
        Where confidence and stain are.
    scratch : Path
        Folder to make for the records.
    config : PredictConfig
        Its `objects`, with the threshold, and `tile_px`.
    cluster : Cluster
        Where tasks are computed.
    claim : Held
        What keeps other runs away from the slide.
    observer : PredictObserver
        Is informed of progress.
    """
    threshold = source.threshold if config.objects.threshold is None else config.objects.threshold
    stored = source.provenance["identity"]
    known = {"threshold": threshold, "measurements": source.measurements}
    objects = {**asdict(config.objects), **known}
    identity = Identity(stored["model"], stored["slide"], source.frame, objects, stored["tissue"])
    provenance = {"name": source.name, "scan_l0": source.scan_l0}
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        store = create_store(scratch, identity, source.tissue, config.tile_px, provenance, source)
        job = SlideJob(store, config.objects, threshold)
        compute(job, plan(job, (Stage.OBJECTS,)), cluster, claim, Tally(observer))
        give_back()
        store.write_keys(sorted_keys(store))
        yield store
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _alone(outputs: Outputs, fingerprint: str) -> Iterator[Held]:
    """Keep `predict` and other exports away from the files of a slide."""
    with ExitStack() as stack:
        try:
            held = stack.enter_context(held_lock(outputs.lock, work=fingerprint))
        except BusyError as error:
            raise StoreError(f"{outputs.store}: {error}; try again when it is done") from error
        except OSError as error:
            raise StoreError(f"{outputs.folder}: cannot be written: {error.strerror or error}") from error
        yield held


def stored_objects(store: SlideStore) -> ObjectsConfig:
    """Return the settings that found a store's nuclei."""
    with damage_named(store.path):
        stored: Mapping[str, Any] = dict(store.provenance["identity"]["objects"])
    known = asdict(ObjectsConfig())
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in stored.items()
        if key in known
    }
    return replace(ObjectsConfig(), **values)
