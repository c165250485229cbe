"""Tasks run once what they wait for is done, and an error of one ends the run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from wsiseg.inference.graph import Frontier, LocalCluster, StageResult, Task
from wsiseg.store.states import Key, Stage

BLOCKS = [Key(Stage.NETWORK, 0, 0, col) for col in range(3)]
TILE, SHARD = Key(Stage.OBJECTS, 0, 0, 0), Key(Stage.LABELS, 0, 0, 0)


def done(job: list[Key], key: Key) -> StageResult:
    job.append(key)
    return StageResult(key)


def test_a_task_is_ready_when_the_last_of_its_sources_is_done_and_before_all_others() -> None:
    frontier = Frontier({key: Task(done) for key in BLOCKS} | {TILE: Task(done, after=tuple(BLOCKS[:2]))})
    assert list(frontier.ready) == BLOCKS
    frontier.done(BLOCKS[0])
    assert TILE not in frontier.ready
    frontier.done(BLOCKS[1])
    assert frontier.ready[0] == TILE


def test_what_a_task_waits_for_and_is_not_planned_is_done() -> None:
    assert list(Frontier({TILE: Task(done, after=tuple(BLOCKS))}).ready) == [TILE]


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_keep_the_order_that_tasks_ask_for(workers: int) -> None:
    tasks = {SHARD: Task(done, after=(TILE,)), TILE: Task(done, after=tuple(BLOCKS))}
    tasks |= {key: Task(done) for key in BLOCKS}
    computed: list[Key] = []
    with ThreadPoolExecutor(workers) as pool:
        results = [result.key for result in LocalCluster(pool, workers).run(computed, tasks)]
    assert sorted(results) == sorted(computed) == sorted(tasks)
    assert computed[-2:] == [TILE, SHARD]


def test_the_error_of_a_task_ends_the_run() -> None:
    def broken(job: list[Key], key: Key) -> StageResult:
        raise ValueError("broken")

    computed: list[Key] = []
    tasks = {BLOCKS[0]: Task(broken), TILE: Task(done, after=(BLOCKS[0],))}
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="broken"):
        list(LocalCluster(pool, 1).run(computed, tasks))
    assert computed == []
