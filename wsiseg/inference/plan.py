"""Which blocks and tiles of a slide are still to be computed, and what must be done before what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wsiseg.inference.graph import Key, Task
from wsiseg.inference.stages import (
    NetworkJob,
    ObjectsJob,
    compute_block,
    compute_tile,
    paint_labels,
    reduce_level,
    trimmed_core,
)
from wsiseg.inference.store import DONE, FAILED
from wsiseg.objects.segment import max_reach_px


@dataclass(frozen=True)
class Plan:
    """How much of a slide is computed: blocks that meet tissue, their pixels, and those done before."""

    blocks: int
    megapixels: float
    megapixels_done: float


def network_tasks(job: NetworkJob) -> tuple[dict[Key, Task], Plan]:
    """Return the blocks that meet tissue and are not done, and what the whole slide amounts to."""
    store = job.store
    status = np.asarray(store.array("status/network")[:])
    tasks: dict[Key, Task] = {}
    blocks, total, done = 0, 0.0, 0.0
    for block in store.blocks:
        box = trimmed_core(block.core, job.tissue, job.view.scale_l0)
        if box is None:
            continue
        megapixels = box.width * box.height / 1e6
        blocks, total = blocks + 1, total + megapixels
        if status[block.row, block.col] in (DONE, FAILED):
            done += megapixels
        else:
            tasks["network", block.row, block.col] = Task(compute_block, job, (block.row, block.col))
    return tasks, Plan(blocks, total, done)


def object_tasks(job: ObjectsJob, network: dict[Key, Task]) -> dict[Key, Task]:
    """Return the tiles that are not done and have, or will have, confidence; each waits for its blocks."""
    store = job.store
    computed = np.asarray(job.pixels.array("status/network")[:]) == DONE
    status = np.asarray(store.array("status/objects")[:])
    reach = max_reach_px(store.frame.mpp, job.config)
    tasks: dict[Key, Task] = {}
    for tile in store.tiles:
        inside = [(block.row, block.col) for block in store.blocks.meeting(tile.core)]
        if status[tile.row, tile.col] != DONE and any(
            computed[place] or ("network", *place) in network for place in inside
        ):
            near = store.blocks.meeting(tile.core.grown(reach))
            after = tuple(key for block in near if (key := ("network", block.row, block.col)) in network)
            tasks["objects", tile.row, tile.col] = Task(compute_tile, job, (tile.row, tile.col), after)
    return tasks


def label_tasks(job: ObjectsJob) -> dict[Key, Task]:
    """Return the shards of the label image that hold tissue and are not painted."""
    store = job.store
    computed = np.asarray(store.array("status/network")[:]) == DONE
    painted = np.asarray(store.array("work/status/labels")[:]) == DONE
    return {
        ("labels", int(row), int(col)): Task(paint_labels, job, (int(row), int(col)))
        for row, col in np.argwhere(computed & ~painted)
    }


def pyramid_tasks(job: ObjectsJob, level: int) -> dict[Key, Task]:
    """Return the shards of one pyramid level, of confidence and labels, that hold tissue."""
    computed = np.argwhere(np.asarray(job.store.array("status/network")[:]) == DONE)
    places = sorted({(int(row) >> level, int(col) >> level) for row, col in computed})
    return {
        (f"pyramid{group}{level}", row, col): Task(reduce_level, job, (group, level, row, col))
        for row, col in places
        for group in ("", "labels/nuclei/")
    }
