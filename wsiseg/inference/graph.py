"""Tasks, their dependencies, and where they are computed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from wsiseg.store.states import Key


@dataclass(frozen=True)
class StageResult:
    """What one task reports: pixels computed, nuclei found, seconds per step; never the pixels themselves."""

    key: Key
    pixels: int = 0
    nuclei: int = 0
    failure: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One call, `compute(job, key)`, once all of `after` are done.

    Parameters
    ----------
    compute : callable
        Computes one place of a stage.
    after : tuple of Key
        Tasks that must be done before.
    needs_network : bool
        Whether it runs the network, so that it belongs on a GPU.
    give_up : callable, optional
        `give_up(job, key, cause)` records that the task killed its workers, and the run continues; without
        it the run ends.
    """

    compute: Callable[[Any, Key], StageResult]
    after: tuple[Key, ...] = ()
    needs_network: bool = False
    give_up: Callable[[Any, Key, str], StageResult] | None = None


class Frontier:
    """Which tasks can be computed now.

    Parameters
    ----------
    tasks : mapping
        All that are not done; a dependency that is not among them is done.

    Attributes
    ----------
    ready : deque of Key
        Tasks without open dependencies; whoever computes one removes it.
    """

    def __init__(self, tasks: Mapping[Key, Task]) -> None:
        self._waits_for = {
            key: {other for other in task.after if other in tasks} for key, task in tasks.items()
        }
        self._dependents: dict[Key, list[Key]] = {}
        for key, others in self._waits_for.items():
            for other in others:
                self._dependents.setdefault(other, []).append(key)
        self.ready = deque(key for key, others in self._waits_for.items() if not others)

    def done(self, key: Key) -> None:
        """Mark a task as done; tasks that waited only for it become ready, ahead of all others.

        So nuclei are found before further blocks are read, and memory stays small.
        """
        for other in self._dependents.pop(key, []):
            self._waits_for[other].discard(key)
            if not self._waits_for[other]:
                self.ready.appendleft(other)


class Cluster(ABC):
    """Where tasks are computed."""

    @abstractmethod
    def run(self, job: Any, tasks: Mapping[Key, Task]) -> Generator[StageResult]:
        """Compute tasks of a job; yield each result as soon as it is there.

        The first exception of a task is raised and ends the run; closing the generator ends it too.
        """

    @property
    @abstractmethod
    def threads(self) -> int:
        """Number of tasks that one process computes at the same time."""

    @abstractmethod
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


class LocalCluster(Cluster):
    """Threads of this process."""

    def __init__(self, pool: ThreadPoolExecutor, workers: int) -> None:
        self._pool, self._workers = pool, workers

    @property
    def threads(self) -> int:
        """Threads of the pool."""
        return self._workers

    def bound(self, slide: str, reader: str, store: str, device: str) -> Cluster:
        """Return this cluster: this process has opened the slide already."""
        return self

    def run(self, job: Any, tasks: Mapping[Key, Task]) -> Generator[StageResult]:
        """Compute tasks of a job on the threads; yield each result as soon as it is there."""
        frontier = Frontier(tasks)
        running: dict[Future[StageResult], Key] = {}
        results: list[StageResult] = []
        try:
            while frontier.ready or running or results:
                while frontier.ready and len(running) < self._workers:
                    key = frontier.ready.popleft()
                    running[self._pool.submit(tasks[key].compute, job, key)] = key
                yield from results
                results = []
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    results.append(future.result())
                    frontier.done(running.pop(future))
        finally:
            for future in running:
                future.cancel()
            wait(running)
