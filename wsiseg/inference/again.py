"""The objects stage once more, from the confidence in a finished store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from wsiseg.config import ObjectsConfig
from wsiseg.inference.graph import Cluster, OnResult
from wsiseg.inference.plan import object_tasks
from wsiseg.inference.stages import ObjectsJob
from wsiseg.machine.allocator import give_back
from wsiseg.store.layout import create_store
from wsiseg.store.slide_store import FrameInfo, Identity, SlideStore


@contextmanager
def nuclei_again(
    source: SlideStore,
    scratch: Path,
    objects: ObjectsConfig,
    threshold: float,
    tile_px: int,
    cluster: Cluster,
    on_result: OnResult,
) -> Iterator[SlideStore]:
    """Find the nuclei of a finished store again; give a store of their records, which goes afterwards.

    Parameters
    ----------
    source : SlideStore
        Where confidence and stain are.
    scratch : Path
        Folder to make for the records.
    objects : ObjectsConfig
    threshold : float
        Confidence from which a pixel is nucleus.
    tile_px : int
        Side of a tile.
    cluster : Cluster
    on_result : callable
        Is told of each tile.
    """
    stored = source.provenance["identity"]
    identity = Identity(
        stored["model"],
        stored["slide"],
        FrameInfo(**stored["frame"]),
        {**asdict(objects), "threshold": threshold},
        stored["tissue"],
    )
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        target = create_store(scratch, identity, source.tissue, tile_px, {"name": source.provenance["name"]})
        job = ObjectsJob(source, target, source.tissue, objects, threshold)
        cluster.run(object_tasks(job, {}), on_result)
        give_back()
        yield target
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
