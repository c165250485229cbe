"""Workers of a running Dask scheduler.

The client keeps what must wait for what and hands over what is ready: so a worker that dies takes with it
nothing but the tasks that it was at, and the scheduler never holds more than a few tasks a thread.
"""

from __future__ import annotations

import logging
import queue
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

from distributed import Client, Future, KilledWorker
from distributed.client import ClosedClientError
from distributed.comm.addressing import parse_address, parse_host_port
from distributed.comm.core import CommClosedError

from wsiseg.errors import ClusterError, UsageError
from wsiseg.inference.environment import (
    Terms,
    admit,
    backend,
    differences,
    environment,
    objection,
)
from wsiseg.inference.graph import Cluster, Key, OnResult, Stage, Task
from wsiseg.inference.stages import StageResult

ANSWER_S = 20
WORKERS_S = 120
LOOK_EVERY_S = 2.0
# Tasks handed over for each thread: enough that none waits for the client, few enough to forget.
TASKS_A_THREAD = 4
# Of a task that raises something, which may be a file system's bad moment.
RETRIES = 2
GPU = "GPU"
LOGGERS = ("distributed", "distributed.client", "distributed.core")


class RemoteCluster(Cluster):
    """Workers of a running Dask scheduler.

    Parameters
    ----------
    client : distributed.Client
    address : str
        The scheduler's.
    workers_s : float
        How long to wait for workers where there are none.
    """

    def __init__(self, client: Client, address: str, workers_s: float = WORKERS_S) -> None:
        self.address = address
        self._client, self._workers_s = client, workers_s
        self._terms: Terms | None = None

    @property
    def threads(self) -> int:
        """Threads of the worker that has most."""
        return max(int(worker["nthreads"]) for worker in self.workers().values())

    def workers(self) -> dict[str, Any]:
        """Return what the scheduler knows of each worker, by address.

        Raises
        ------
        ClusterError
            If there are none for long, or the scheduler is gone.
        """
        deadline = time.monotonic() + self._workers_s
        while True:
            self._check_alive()
            with self._said():
                found: dict[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
            if found:
                return found
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"the Dask scheduler at {self.address} has had no workers for {self._workers_s:.0f} s; "
                    f"start some with `dask worker {self.address}`, and run the same command again"
                )
            time.sleep(min(LOOK_EVERY_S, self._workers_s / 4))

    def greet(self) -> None:
        """Make sure that scheduler and workers have the client's software.

        Raises
        ------
        ClusterError
            If one has not, with what is different.
        """
        here = environment()
        answers = {f"scheduler {self.address}": self._asked_of_scheduler(environment)}
        for who, there in (answers | self._asked(environment)).items():
            other = differences(here, there)
            if other:
                raise ClusterError(
                    f"the {who} has other software than this machine ({', '.join(other)}); "
                    "install the same everywhere"
                )

    def bound(self, slide: str, reader: str, store: str, device: str) -> RemoteCluster:
        """See `Cluster.bound`."""
        workers = self.workers()
        terms = Terms(tuple(environment().items()), slide, reader, store)
        for who, reason in self._asked(objection, terms).items():
            if reason is not None:
                raise ClusterError(f"the {who} {reason}")
        bound = RemoteCluster(self._client, self.address, self._workers_s)
        bound._terms = terms
        share = gpu_share(workers)
        on_gpu = [address for address, worker in workers.items() if not share or _has_gpu(worker)]
        kinds = self._asked(backend, device, workers=on_gpu)
        if len(set(kinds.values())) > 1:
            listed = ", ".join(f"{who}: {kind}" for who, kind in sorted(kinds.items()))
            raise ClusterError(
                f"the workers would run the network in different ways, and outputs would depend on which took"
                f" what ({listed}); give --device, or mark those to use with `dask worker --resources GPU=1`"
            )
        return bound

    def _asked(
        self, function: Callable[..., Any], *arguments: Any, workers: list[str] | None = None
    ) -> dict[str, Any]:
        """Return the answers of workers, all if None; what keeps one from answering is put into words."""
        with self._said():
            answers = self._client.run(function, *arguments, workers=workers, on_error="return")
        found = {f"worker {address}": answer for address, answer in answers.items()}
        for who, answer in found.items():
            if isinstance(answer, BaseException):
                raise _unfit(who, answer) from answer
        return found

    def _asked_of_scheduler(self, function: Callable[[], Any]) -> Any:
        try:
            return self._client.run_on_scheduler(function)
        except Exception as error:
            self._check_alive()
            raise _unfit(f"scheduler {self.address}", error) from error

    def run(self, tasks: Mapping[Key, Task], on_result: OnResult) -> None:
        """See `Cluster.run`."""
        if tasks:
            _Run(self, tasks, on_result).finish()

    def submit(self, task: Task, key: Key, job: Future[Any], resources: dict[str, float]) -> Future[Any]:
        """Hand a task over, to a worker with the resources if it needs the network."""
        with self._said():
            return self._client.submit(
                _call, task.stage, job, task.arguments, self._terms,
                key=f"wsiseg-{'-'.join(map(str, key))}-{uuid4().hex[:12]}", pure=False, retries=RETRIES,
                resources=resources if task.needs_network else None,
            )  # fmt: skip

    def share(self, job: Any) -> Future[Any]:
        """Give a job to every worker there is, so that none has its tasks only because it has the job.

        It is the result of a task: a worker that dies does not take it away, and one that joins fetches it.
        """
        with self._said():
            shared = self._client.submit(_same, job, key=f"wsiseg-job-{uuid4().hex[:12]}", pure=False)
            with suppress(TimeoutError):
                if shared.exception(timeout=ANSWER_S) is None:
                    self._client.replicate([shared])
            return shared

    def gather(self, futures: list[Future[Any]]) -> list[StageResult]:
        """Return the results of tasks that are done."""
        with self._said():
            results: list[StageResult] = self._client.gather(futures)
            return results

    def failure_of(self, future: Future[Any]) -> Exception:
        """Return what a task raised that ended with an error."""
        with self._said():
            error: Exception = future.exception()
            return error

    def drop(self, futures: list[Future[Any]]) -> None:
        """Forget tasks."""
        if self._client.status == "running":
            with suppress(OSError, TimeoutError):
                self._client.cancel(futures)

    def _check_alive(self) -> None:
        if self._client.status != "running":
            raise self.lost()

    def lost(self) -> ClusterError:
        """Return the error for a scheduler that is gone, or was restarted and knows nothing of us."""
        return ClusterError(
            f"the Dask scheduler at {self.address} is gone; what was done is kept: "
            "start it and run the same command again"
        )

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Put what a lost connection raises into words."""
        try:
            yield
        except (OSError, TimeoutError, CancelledError, CommClosedError, ClosedClientError) as error:
            self._check_alive()
            raise self.lost() from error


class _Run:
    """One call of `RemoteCluster.run`."""

    def __init__(self, cluster: RemoteCluster, tasks: Mapping[Key, Task], on_result: OnResult) -> None:
        self._cluster, self._tasks, self._on_result = cluster, tasks, on_result
        self._jobs = {id(task.job): cluster.share(task.job) for task in tasks.values()}
        self._open = {key: {other for other in task.after if other in tasks} for key, task in tasks.items()}
        self._dependents: dict[Key, list[Key]] = {}
        for key, before in self._open.items():
            for other in before:
                self._dependents.setdefault(other, []).append(key)
        self._ready = deque(key for key, before in self._open.items() if not before)
        self._futures: dict[Key, Future[Any]] = {}
        self._ended: queue.SimpleQueue[Key] = queue.SimpleQueue()
        self._resources = gpu_share(cluster.workers())
        self._suspects: deque[Key] = deque()
        self._alone: Key | None = None
        self._room = 0

    def finish(self) -> None:
        """Hand over and take back until all is done."""
        left = len(self._tasks)
        self._measure_room()
        try:
            while left:
                self._hand_over()
                for key, result in self._results(self._wait()):
                    self._futures.pop(key).release()
                    if result is None:
                        self._suspects.append(key)
                        continue
                    self._on_result(result)
                    self._release_dependents(key)
                    left -= 1
        finally:
            self._cluster.drop([*self._futures.values(), *self._jobs.values()])

    def _measure_room(self) -> None:
        self._room = TASKS_A_THREAD * sum(worker["nthreads"] for worker in self._cluster.workers().values())

    def _hand_over(self) -> None:
        while self._ready and len(self._futures) < self._room:
            self._submit(self._ready.popleft())
        if not self._futures and self._suspects:
            self._alone = self._suspects.popleft()
            self._submit(self._alone)

    def _submit(self, key: Key) -> None:
        task = self._tasks[key]
        self._futures[key] = self._cluster.submit(task, key, self._jobs[id(task.job)], self._resources)
        self._listen(key)

    def _listen(self, key: Key) -> None:
        self._futures[key].add_done_callback(lambda _: self._ended.put(key))

    def _wait(self) -> list[Key]:
        """Return the tasks that ended, at least one."""
        while True:
            try:
                ended = [self._ended.get(timeout=LOOK_EVERY_S)]
            except queue.Empty:
                # Nothing for a while: a long tile, new workers, none left, or no scheduler.
                self._measure_room()
                self._hand_over()
                continue
            with suppress(queue.Empty):
                while True:
                    ended.append(self._ended.get_nowait())
            return ended

    def _results(self, ended: list[Key]) -> list[tuple[Key, StageResult | None]]:
        # Done, but on a worker that died since: Dask does it again.
        lost = {key for key in ended if self._futures[key].status in ("lost", "pending")}
        for key in lost:
            self._listen(key)
        ended = [key for key in ended if key not in lost]
        futures = [self._futures[key] for key in ended]
        if all(future.status == "finished" for future in futures):
            return list(zip(ended, self._cluster.gather(futures), strict=True))
        return [(key, self._result(key)) for key in ended]

    def _result(self, key: Key) -> StageResult | None:
        """Return the result of a task; None if workers died that had it among others.

        Dask blames all that a worker had before it when it died. So the task is tried once more, alone.
        """
        future, task = self._futures[key], self._tasks[key]
        if future.status == "finished":
            return self._cluster.gather([future])[0]
        if future.status == "cancelled":
            raise self._cluster.lost()
        error = self._cluster.failure_of(future)
        if not isinstance(error, KilledWorker):
            raise error
        if key != self._alone:
            return None
        cause = "every worker that tried it died (out of memory?)"
        if task.give_up is None:
            raise ClusterError(f"{key[0]} of tile {key[1]}, {key[2]}: {cause}") from error
        return task.give_up(task.job, *task.arguments, cause)

    def _release_dependents(self, key: Key) -> None:
        for other in self._dependents.pop(key, []):
            self._open[other].discard(key)
            if not self._open[other]:
                # Nuclei before further blocks: what is whole is out of the way.
                self._ready.appendleft(other)


def gpu_share(workers: Mapping[str, Any]) -> dict[str, float]:
    """Return what a block takes of a worker's resource GPU: so little that all its threads find room.

    One thread is at the GPU, the others read the next blocks and write the last. Nothing where no worker was
    started with `--resources GPU=1`: then all run the network.
    """
    threads = [worker["nthreads"] for worker in workers.values() if _has_gpu(worker)]
    return {GPU: 0.999 / max(threads)} if threads else {}


def _has_gpu(worker: Mapping[str, Any]) -> bool:
    return bool(worker.get("resources", {}).get(GPU))


def _unfit(who: str, error: BaseException) -> ClusterError:
    # distributed wraps what it could not unpickle.
    if isinstance(error, ImportError | AttributeError) or "NotFoundError" in str(error):
        return ClusterError(
            f"the {who} does not have this version of wsiseg ({error}); install the same everywhere"
        )
    return ClusterError(f"the {who} cannot be used: {type(error).__name__}: {error}")


def _same(job: Any) -> Any:
    return job


def _call(stage: Stage, job: Any, arguments: tuple[Any, ...], terms: Terms | None) -> StageResult:
    if terms is not None:
        admit(terms)
    return stage(job, *arguments)


def _knock(scheduler: str) -> None:
    """Raise if nothing listens at an address; a Client would try for long and leave tracebacks."""
    kind, place = parse_address(scheduler)
    if kind in ("tcp", "tls"):
        host, port = parse_host_port(place)
        if port is None:
            raise ValueError("the address has no port (tcp://HOST:8786)")
        socket.create_connection((host, port), timeout=10).close()


@contextmanager
def connected(scheduler: str, workers_s: float = WORKERS_S) -> Iterator[RemoteCluster]:
    """Give the cluster of a scheduler's address.

    Raises
    ------
    UsageError
        If no scheduler answers at the address.
    ClusterError
        If it has no workers, or some with other software.
    """
    # What distributed logs about a lost scheduler is reported by the errors that follow.
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        _knock(scheduler)
        client = Client(scheduler, timeout=f"{ANSWER_S}s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise UsageError(
            f"no Dask scheduler answers at {scheduler}: {error}; start one with `dask scheduler`"
        ) from error
    try:
        cluster = RemoteCluster(client, scheduler, workers_s)
        cluster.workers()
        cluster.greet()
        yield cluster
    finally:
        with suppress(TimeoutError):
            client.close(timeout=ANSWER_S if client.status == "running" else 1)
