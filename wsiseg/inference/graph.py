"""Tasks with their dependencies, run by Dask: threads of this process, or a cluster that exists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from dask.base import compute
from dask.callbacks import Callback
from dask.delayed import Delayed, delayed

from wsiseg.inference.stages import StageResult

Key = tuple[str, int, int]
Stage = Callable[..., StageResult]
OnResult = Callable[[StageResult], None]


@dataclass(frozen=True)
class Task:
    """One call of a stage: `stage(job, *arguments)` once all of `after` are done.

    Tasks with the same `job` object share it: a worker receives it once. `needs_network` tells a task that a
    GPU is for. `give_up(job, *arguments, cause)` records that workers died of the task, so that the others go
    on; without it they do not.
    """

    stage: Stage
    job: Any
    arguments: tuple[Any, ...]
    after: tuple[Key, ...] = ()
    needs_network: bool = False
    give_up: Stage | None = None


class Cluster:
    """Where tasks run: `run` returns when all are done and tells each result as it comes.

    Results are told in the client's thread. The first exception of a task ends the run and is raised.
    """

    def run(self, tasks: Mapping[Key, Task], on_result: OnResult) -> None:
        """Run tasks, each listed behind those that it must wait for."""
        raise NotImplementedError

    @property
    def threads(self) -> int:
        """Tasks that one process works on at the same time."""
        raise NotImplementedError

    def bound(self, slide: str, reader: str, store: str, device: str) -> Cluster:
        """Return the cluster for the tasks of one slide, once all its workers can compute them.

        Parameters
        ----------
        slide, reader : str
            What the workers must be able to open.
        store : str
            What they must be able to write to.
        device : str
            Where the network is to run.

        Raises
        ------
        ClusterError
            If some worker cannot, with the reason.
        """
        raise NotImplementedError


class LocalCluster(Cluster):
    """Threads of this process."""

    def __init__(self, pool: ThreadPoolExecutor, workers: int) -> None:
        self._pool, self._workers = pool, workers

    @property
    def threads(self) -> int:
        """See `Cluster.threads`."""
        return self._workers

    def bound(self, slide: str, reader: str, store: str, device: str) -> Cluster:
        """See `Cluster.bound`."""
        return self

    def run(self, tasks: Mapping[Key, Task], on_result: OnResult) -> None:
        """See `Cluster.run`."""

        def told(_key: Any, value: Any, *_rest: Any) -> None:
            if isinstance(value, StageResult):
                on_result(value)

        with Callback(posttask=told):
            compute(
                *_delayed(tasks).values(), scheduler="threads", pool=self._pool, num_workers=self._workers
            )


def _delayed(tasks: Mapping[Key, Task]) -> dict[Key, Delayed]:
    run_id = uuid4().hex
    jobs: dict[int, Delayed] = {}
    nodes: dict[Key, Delayed] = {}
    for key, task in tasks.items():
        job = jobs.setdefault(
            id(task.job), delayed(task.job, name=f"job-{len(jobs)}-{run_id}", traverse=False)
        )
        after = [nodes[other] for other in task.after]
        name = "-".join(map(str, (*key, run_id)))
        nodes[key] = delayed(_call, pure=False)(task.stage, job, task.arguments, after, dask_key_name=name)
    return nodes


def _call(stage: Stage, job: Any, arguments: tuple[Any, ...], _after: list[Any]) -> StageResult:
    return stage(job, *arguments)
