"""Which blocks and tiles of a slide are still to be computed, and what must be done before what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wsiseg.inference.graph import Key, Task
from wsiseg.inference.stages import (
    NetworkJob,
    ObjectsJob,
    compute_block,
    compute_tile,
    give_up_block,
    paint_labels,
    reduce_level,
)
from wsiseg.objects.segment import max_reach_px
from wsiseg.store.blocks import trimmed_core
from wsiseg.store.slide_store import DONE, FAILED


@dataclass(frozen=True)
class Plan:
    """How much of a slide is computed: blocks that meet tissue, their pixels, and those done before."""

    blocks: int
    megapixels: float
    megapixels_done: float


def network_tasks(job: NetworkJob) -> tuple[dict[Key, Task], Plan]:
    """Return the blocks that meet tissue and are not done, and what the whole slide amounts to."""
    store = job.store
    status = store.status("network").all()
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
            tasks["network", block.row, block.col] = Task(
                compute_block, job, (block.row, block.col), needs_network=True, give_up=give_up_block
            )
    return tasks, Plan(blocks, total, done)


def object_tasks(job: ObjectsJob, network: dict[Key, Task]) -> dict[Key, Task]:
    """Return the tiles that are not done and have, or will have, confidence; each waits for its blocks."""
    store = job.store
    computed = job.pixels.status("network").all() == DONE
    status = store.status("objects").all()
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
    computed = store.status("network").all() == DONE
    painted = store.status("labels").all() == DONE
    return {
        ("labels", int(row), int(col)): Task(paint_labels, job, (int(row), int(col)))
        for row, col in np.argwhere(computed & ~painted)
    }


def pyramid_tasks(job: ObjectsJob, group: str, finest: Mapping[Key, Task]) -> dict[Key, Task]:
    """Return the shards of all pyramid levels that hold tissue and are not made, each behind its parts.

    Parameters
    ----------
    job : ObjectsJob
    group : str
        Where the levels are: "" for confidence, "labels/nuclei/" for labels.
    finest : mapping
        The tasks that write the shards of level 0 and are still to be done.
    """
    computed = np.argwhere(job.store.status("network").all() == DONE)
    done = {(int(row), int(col)) for row, col in computed}
    stage = next(iter(finest), ("", 0, 0))[0]
    places = done | {(row, col) for _, row, col in finest}
    below: Mapping[Key, Task] = finest
    tasks: dict[Key, Task] = {}
    for level in range(1, job.store.levels):
        finer, stage_below = places, stage
        places, stage = {(row >> 1, col >> 1) for row, col in finer}, f"pyramid{group}{level}"
        here = {}
        made = job.store.status(f"{group}{level}").all() == DONE
        for row, col in sorted(place for place in places if not made[place]):
            parts = [(stage_below, 2 * row + down, 2 * col + right) for down in (0, 1) for right in (0, 1)]
            after = tuple(part for part in parts if part in below)
            here[stage, row, col] = Task(reduce_level, job, (group, level, row, col), after)
        tasks |= here
        below = here
    return tasks
