"""Nuclei again from the confidence in a store, with other thresholds, without the network."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from wsiseg.config import ObjectsConfig, PredictConfig
from wsiseg.errors import StoreError
from wsiseg.inference.again import nuclei_again
from wsiseg.inference.clusters import open_cluster
from wsiseg.inference.outputs import STORE, Observer, Outputs
from wsiseg.inference.slide import Tally, write_nuclei
from wsiseg.machine.cores import available_cores
from wsiseg.machine.locks import BusyError, held_lock
from wsiseg.machine.marks import refuse_foreign
from wsiseg.store.damage import damage_told
from wsiseg.store.slide_store import SlideStore, no_store

# Smaller than for `predict`: nothing else fills the memory, and a million nuclei fit 500 MB.
TILE_PX = 1024


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
        If files of these names are there that wsiseg did not make.
    """
    with damage_told(Path(store)):
        return _export(Path(store), output, config, observer)


def _export(
    store: Path,
    output: str | os.PathLike[str] | None,
    config: PredictConfig | None,
    observer: Observer | None,
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
    workers = available_cores() if config.workers is None else config.workers
    tally = Tally(observer or Observer())
    with (
        _alone(outputs, str(source.provenance["identity"]["slide"])),
        open_cluster(config.scheduler, workers) as cluster,
        nuclei_again(
            source, outputs.scratch, config.objects, threshold, config.tile_px, cluster, tally.add
        ) as found,
    ):
        if not SlideStore(source.path).is_of(source):
            raise StoreError(f"{source.path}: was removed or replaced while it was read; nothing is written")
        nuclei = write_nuclei(found, outputs, config)
    return Exported(tuple(outputs.geojson_files()), outputs.parquet, nuclei)


@contextmanager
def _alone(outputs: Outputs, fingerprint: str) -> Iterator[None]:
    """Keep `predict` and other exports away from the files of a slide."""
    with ExitStack() as stack:
        try:
            stack.enter_context(held_lock(outputs.lock, work=fingerprint))
        except BusyError as error:
            raise StoreError(f"{outputs.store}: {error}; try again when it is done") from error
        except OSError as error:
            raise StoreError(f"{outputs.folder}: cannot be written: {error.strerror or error}") from error
        yield


def stored_objects(store: SlideStore) -> ObjectsConfig:
    """Return the settings with which a store's nuclei were found."""
    with damage_told(store.path):
        stored: Mapping[str, Any] = dict(store.provenance["identity"]["objects"])
    known = asdict(ObjectsConfig())
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in stored.items()
        if key in known
    }
    return replace(ObjectsConfig(), **values)


def open_finished(path: Path) -> SlideStore:
    """Return a finished store."""
    if not (path / "zarr.json").is_file():
        raise StoreError(no_store(path))
    store = SlideStore(path.resolve())
    if store.provenance.get("state") != "complete":
        raise StoreError(
            f"{path}: the slide is not finished; run the same `wsiseg predict` again to resume it"
        )
    return store
