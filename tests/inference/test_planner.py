"""Which tasks are left of a slide, and what waits for what."""

from __future__ import annotations

from pathlib import Path

from disks import disks, store_of

from wsiseg.config import ObjectsConfig
from wsiseg.inference.clusters import open_cluster
from wsiseg.inference.graph import StageResult
from wsiseg.inference.job import SlideJob
from wsiseg.inference.planner import plan
from wsiseg.store.states import Key, Stage, State


def test_each_tile_is_computed_once(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", disks(300, 200, [(0.5, 0.5, 20.0, 1.0)]), 100)
    job = SlideJob(store, ObjectsConfig(), 0.5)
    with open_cluster(None, 2) as cluster:
        results = list(cluster.run(job, plan(job, (Stage.OBJECTS,))))
    keys = [Key(Stage.OBJECTS, 0, row, col) for row in range(2) for col in range(3)]
    assert sorted(result.key for result in results) == keys
    assert all(isinstance(result, StageResult) for result in results)
    assert not plan(job, (Stage.OBJECTS,))


def test_each_stage_waits_for_what_it_reads(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", disks(1100, 200, [(0.5, 0.5, 20.0, 1.0)]), 300, State.TODO)
    tasks = plan(SlideJob(store, ObjectsConfig(), 0.5))
    blocks = [Key(Stage.NETWORK, 0, 0, col) for col in range(2)]
    assert tasks[Key(Stage.OBJECTS, 0, 0, 0)].after == (blocks[0],)
    assert tasks[Key(Stage.OBJECTS, 0, 0, 3)].after == tuple(blocks)
    assert tasks[Key(Stage.LABELS, 0, 0, 1)].after == (blocks[1],)
    assert tasks[Key(Stage.CONFIDENCE_PYRAMID, 1, 0, 0)].after == tuple(blocks)
    assert tasks[Key(Stage.LABEL_PYRAMID, 2, 0, 0)].after == (Key(Stage.LABEL_PYRAMID, 1, 0, 0),)
    assert [key for key, task in tasks.items() if task.needs_network] == blocks


def test_nothing_is_planned_over_blocks_that_failed(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", disks(1100, 200, [(0.5, 0.5, 20.0, 1.0)]), 1024)
    store.states(Stage.NETWORK).mark(0, 1, State.FAILED)
    stages = (Stage.OBJECTS, Stage.LABELS)
    assert set(plan(SlideJob(store, ObjectsConfig(), 0.5), stages)) == {
        Key(stage, 0, 0, 0) for stage in stages
    }
