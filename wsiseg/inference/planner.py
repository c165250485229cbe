"""Which tasks of a slide are left, and in which order they can be computed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from wsiseg.inference.graph import Task
from wsiseg.inference.job import SlideJob
from wsiseg.inference.pipeline import FINDING, PAINTING, Step, table_of_steps
from wsiseg.store.slide_store import SlideStore
from wsiseg.store.states import Key, Stage, State
from wsiseg.tiles import Box


def plan(job: SlideJob, stages: Collection[Stage] = (*FINDING, *PAINTING)) -> dict[Key, Task]:
    """Return the open tasks of some stages, each after those that it must wait for.

    Stages that are left out are not waited for: they will make no further progress.
    """
    steps = {(step.stage, step.level): step for step in table_of_steps(job)}
    tasks: dict[Key, Task] = {}
    for step in steps.values():
        if step.stage in stages:
            source = steps[step.source] if step.source else None
            tasks |= _tasks_of(step, source, job, tasks)
    return tasks


def _tasks_of(step: Step, source: Step | None, job: SlideJob, planned: dict[Key, Task]) -> dict[Key, Task]:
    states = job.store.states(step.stage, step.level).all()
    finished = job.store.states(source.stage, source.level).all() == State.DONE if source else None
    tasks = {}
    for row, col, core in step.grid:
        if states[row, col] != State.TODO:
            continue
        after: tuple[Key, ...] = ()
        if source is None or finished is None:
            is_wanted = (row, col) in job.store.computed_boxes
        else:
            box = Box(*(step.zoom * side for side in core))
            inside, around = _keys(source, box), _keys(source, box.grown(step.reach_px))
            is_wanted = any(finished[key.row, key.col] or key in planned for key in inside)
            after = tuple(key for key in around if key in planned)
        if is_wanted:
            needs_network = step.stage is Stage.NETWORK
            tasks[Key(step.stage, step.level, row, col)] = Task(
                step.compute, after, needs_network, step.give_up
            )
    return tasks


def _keys(step: Step, box: Box) -> list[Key]:
    """Return the places of a step that meet a box."""
    return [Key(step.stage, step.level, tile.row, tile.col) for tile in step.grid.meeting(box)]


@dataclass(frozen=True)
class Extent:
    """How much of a slide the network computes: blocks that hold tissue, their pixels, and those done."""

    blocks: int
    megapixels: float
    megapixels_done: float


def extent_of(store: SlideStore) -> Extent:
    """Return how much of a slide the network computes."""
    states = store.states(Stage.NETWORK).all()
    megapixels = {place: box.width * box.height / 1e6 for place, box in store.computed_boxes.items()}
    done = sum((size for place, size in megapixels.items() if states[place] != State.TODO), 0.0)
    return Extent(len(megapixels), sum(megapixels.values(), 0.0), done)
