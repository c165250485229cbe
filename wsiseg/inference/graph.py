"""Tasks with their dependencies, run by Dask: threads of this process, or a cluster that exists."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from dask.base import compute
from dask.callbacks import Callback
from dask.delayed import Delayed, delayed

from wsiseg.errors import UsageError
from wsiseg.inference.stages import StageResult

Key = tuple[str, int, int]
Stage = Callable[..., StageResult]
OnResult = Callable[[StageResult], None]


@dataclass(frozen=True)
class Task:
    """One call of a stage: `stage(job, *arguments)` once all of `after` are done.

    Tasks with the same `job` object share it: a worker receives it once.
    """

    stage: Stage
    job: Any
    arguments: tuple[Any, ...]
    after: tuple[Key, ...] = ()


class Cluster:
    """Where tasks run: `run` returns when all are done and tells each result as it comes.

    Results are told in the client's thread. The first exception of a task ends the run and is raised.
    """

    def run(self, tasks: Mapping[Key, Task], on_result: OnResult) -> None:
        """Run tasks, each listed behind those that it must wait for."""
        raise NotImplementedError


class LocalCluster(Cluster):
    """Threads of this process."""

    def __init__(self, pool: ThreadPoolExecutor, workers: int) -> None:
        self._pool, self._workers = pool, workers

    def run(self, tasks: Mapping[Key, Task], on_result: OnResult) -> None:
        """See `Cluster.run`."""

        def told(_key: Any, value: Any, *_rest: Any) -> None:
            if isinstance(value, StageResult):
                on_result(value)

        with Callback(posttask=told):
            compute(
                *_delayed(tasks).values(), scheduler="threads", pool=self._pool, num_workers=self._workers
            )


class RemoteCluster(Cluster):
    """Workers of a running Dask scheduler."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(self, tasks: Mapping[Key, Task], on_result: OnResult) -> None:
        """See `Cluster.run`."""
        from distributed import as_completed

        with self._client.as_current():
            futures = self._client.compute(list(_delayed(tasks).values()), retries=2)
            try:
                for future in as_completed(futures):
                    on_result(future.result())
                    future.release()
            finally:
                self._client.cancel(futures)


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


def _knock(scheduler: str) -> None:
    """Raise if nothing listens at an address; a Client would try for long and leave tracebacks."""
    from distributed.comm.addressing import parse_address, parse_host_port

    kind, place = parse_address(scheduler)
    if kind in ("tcp", "tls"):
        host, port = parse_host_port(place)
        if port is None:
            raise ValueError("the address has no port (tcp://HOST:8786)")
        socket.create_connection((host, port), timeout=10).close()


@contextmanager
def open_cluster(scheduler: str | None, workers: int) -> Iterator[Cluster]:
    """Give the cluster of an address, or threads of this process.

    Raises
    ------
    UsageError
        If no scheduler answers at the address.
    """
    if scheduler is None:
        with ThreadPoolExecutor(workers, thread_name_prefix="wsiseg") as pool:
            yield LocalCluster(pool, workers)
        return
    from distributed import Client

    try:
        _knock(scheduler)
        client = Client(scheduler, timeout="20s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise UsageError(
            f"no Dask scheduler answers at {scheduler}: {error}; start one with `dask scheduler`"
        ) from error
    with client:
        yield RemoteCluster(client)
