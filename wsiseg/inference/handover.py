"""Hands tasks to a Dask cluster a few at a time and collects their results.

The client keeps what must wait for what and hands over what is ready: so a worker that dies takes with it
nothing but the tasks it was running, and the scheduler never holds more than a few tasks a thread.
"""

from __future__ import annotations

import queue
import threading
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import lru_cache
from typing import Any
from uuid import uuid4

from distributed import Future, KilledWorker
from distributed.protocol.serialize import deserialize_bytes, serialize_bytes

from wsiseg.errors import ClusterError
from wsiseg.inference.connection import GPU, LOOK_EVERY_S, Connection, Workers, has_gpu
from wsiseg.inference.environment import Terms, admit
from wsiseg.inference.graph import Frontier, StageResult, Task
from wsiseg.store.states import Key

# Tasks handed over per thread: enough that no thread waits for the client, few enough to lose.
TASKS_A_THREAD = 4
# For a task that raises: the cause may be a passing fault of the file system.
RETRIES = 2
# Workers that must die of a task that runs alone before it is given up.
DEATHS_ALONE = 3


class Handover:
    """Runs tasks on a cluster until all are done, or the scheduler is lost.

    Parameters
    ----------
    connection : Connection
        The connection to the scheduler.
    job : object
        The job that the tasks belong to.
    tasks : dict
        Those that are not done; a task is removed when it is done.
    terms : Terms or None
        What each worker is checked against before its first task.
    """

    def __init__(self, connection: Connection, job: Any, tasks: dict[Key, Task], terms: Terms | None) -> None:
        self._connection, self._tasks, self._terms = connection, tasks, terms
        self._job, self._packed = job, packed(job)
        self._frontier = Frontier(tasks)
        self._futures: dict[Key, Future[Any]] = {}
        self._ended: queue.SimpleQueue[Key] = queue.SimpleQueue()
        self._suspects: deque[Key] = deque()
        self._alone: Key | None = None
        self._deaths: Counter[Key] = Counter()
        self._resources: dict[str, float] = {}
        self._room, self._look_at = 0, 0.0

    def results(self) -> Generator[StageResult]:
        """Hand over tasks and collect results until all are done; yield each result.

        Raises
        ------
        SchedulerLostError
            If the scheduler is lost; the remaining tasks may be handed over once more.
        ClusterError
            If the cluster stays without workers, or a task that cannot be given up kills its workers.
        """
        try:
            while self._tasks:
                self._look_at_workers()
                self._hand_over()
                for key, result in self._results(self._wait()):
                    self._futures.pop(key).release()
                    if result is None:
                        self._suspects.append(key)
                        continue
                    del self._tasks[key]
                    self._frontier.done(key)
                    yield result
        finally:
            self._connection.cancel(list(self._futures.values()))

    def _look_at_workers(self) -> None:
        """Check from time to time which workers there are; new ones are used from then on."""
        if time.monotonic() < self._look_at:
            return
        workers = self._connection.workers()
        if self._resources and any(task.needs_network for task in self._tasks.values()):
            workers |= self._connection.workers(with_gpu=True)
        self._resources = gpu_share(workers)
        self._room = TASKS_A_THREAD * sum(worker["nthreads"] for worker in workers.values())
        self._look_at = time.monotonic() + LOOK_EVERY_S

    def _hand_over(self) -> None:
        while self._frontier.ready and len(self._futures) < self._room:
            self._submit(self._frontier.ready.popleft())
        if not self._futures and self._suspects:
            self._alone = self._suspects.popleft()
            self._submit(self._alone)

    def _submit(self, key: Key) -> None:
        task = self._tasks[key]
        self._futures[key] = self._connection.submit(
            _call, task.compute, self._packed, key, self._terms,
            key=f"wsiseg-{'-'.join(map(str, key))}-{uuid4().hex[:12]}", retries=RETRIES,
            resources=self._resources if task.needs_network else None,
        )  # fmt: skip
        self._listen(key)

    def _listen(self, key: Key) -> None:
        self._futures[key].add_done_callback(lambda _: self._ended.put(key))

    def _wait(self) -> list[Key]:
        """Return the tasks that have ended; wait a moment for one."""
        ended = []
        with suppress(queue.Empty):
            ended.append(self._ended.get(timeout=LOOK_EVERY_S))
            while True:
                ended.append(self._ended.get_nowait())
        return ended

    def _results(self, ended: list[Key]) -> list[tuple[Key, StageResult | None]]:
        # Done, but on a worker that has died since: Dask repeats it.
        lost = {key for key in ended if self._futures[key].status in ("lost", "pending")}
        for key in lost:
            self._listen(key)
        ended = [key for key in ended if key not in lost]
        futures = [self._futures[key] for key in ended]
        if all(future.status == "finished" for future in futures):
            return list(zip(ended, self._connection.gather(futures), strict=True))
        return [(key, self._result(key)) for key in ended]

    def _result(self, key: Key) -> StageResult | None:
        """Return the result of a task; None if workers that held it, among others, died.

        Dask blames every task that a dead worker held. So the task is repeated, alone.
        """
        future, task = self._futures[key], self._tasks[key]
        if future.status == "finished":
            result: StageResult = self._connection.gather([future])[0]
            return result
        if future.status == "cancelled":
            raise self._connection.lost()
        error = self._connection.failure_of(future)
        if not isinstance(error, KilledWorker):
            raise error
        if key == self._alone:
            self._deaths[key] += error.allowed_failures + 1
        if self._deaths[key] < DEATHS_ALONE:
            return None
        cause = "every worker that tried it died (out of memory?)"
        if task.give_up is None:
            raise ClusterError(f"{key.stage} of tile {key.row}, {key.col}: {cause}") from error
        return task.give_up(self._job, key, cause)


def gpu_share(workers: Workers) -> dict[str, float]:
    """Return the share of a worker's GPU resource that a block takes: small enough for all its threads.

    One thread uses the GPU while others read and write blocks. Empty where no worker was
    started with `--resources GPU=1`: then all of them run the network.
    """
    threads = [worker["nthreads"] for worker in workers.values() if has_gpu(worker)]
    return {GPU: 0.999 / max(threads)} if threads else {}


def packed(job: Any) -> bytes:
    """Return a job as bytes that are sent with each task, so that no worker depends on another for it."""
    return zlib.compress(serialize_bytes(job), 1)


_UNPACKING = threading.Lock()


@lru_cache(maxsize=4)
def _unpacked(job: bytes) -> Any:
    return deserialize_bytes(zlib.decompress(job))


def _call(
    compute: Callable[[Any, Key], StageResult], job: bytes, key: Key, terms: Terms | None
) -> StageResult:
    if terms is not None:
        admit(terms)
    # One thread opens the slide and the store; the others wait for it.
    with _UNPACKING:
        opened = _unpacked(job)
    return compute(opened, key)
