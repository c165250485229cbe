"""Workers of a running Dask scheduler."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from wsiseg.errors import ClusterError
from wsiseg.inference.connection import PATIENCE_S, Connection, SchedulerLostError, has_gpu
from wsiseg.inference.environment import Terms, backend, differences, environment, objection
from wsiseg.inference.graph import Cluster, StageResult, Task
from wsiseg.inference.handover import Handover
from wsiseg.store.states import Key

# Times in a row that the scheduler may be lost without a finished task in between.
LOSSES = 5


class RemoteCluster(Cluster):
    """Workers of a running Dask scheduler.

    Parameters
    ----------
    connection : Connection
        The connection to the scheduler.
    terms : Terms, optional
        What each worker is checked against before its first task.
    """

    def __init__(self, connection: Connection, terms: Terms | None = None) -> None:
        self.connection, self._terms = connection, terms

    @property
    def threads(self) -> int:
        """The largest number of threads of any worker."""
        return max(int(worker["nthreads"]) for worker in self.connection.workers().values())

    def bound(self, slide: str, reader: str, store: str, device: str) -> RemoteCluster:
        """Return the cluster for the tasks of one slide, once all workers can compute them alike."""
        terms = Terms(tuple(environment().items()), slide, reader, store)
        for who, reason in self.connection.ask(objection, terms).items():
            if reason is not None:
                raise ClusterError(f"the worker {who} {reason}")
        with_gpu = any(has_gpu(worker) for worker in self.connection.workers().values())
        kinds = self.connection.ask(backend, device, with_gpu=with_gpu)
        if len(set(kinds.values())) > 1:
            listed = ", ".join(f"worker {who}: {kind}" for who, kind in sorted(kinds.items()))
            raise ClusterError(
                "the workers would run the network in different ways, so results would depend on which "
                f"worker takes which tile ({listed}); give --device, or mark the workers to use with "
                "`dask worker --resources GPU=1`"
            )
        return RemoteCluster(self.connection, terms)

    def run(self, job: Any, tasks: Mapping[Key, Task]) -> Generator[StageResult]:
        """Compute tasks of a job; when a lost scheduler is back, continue with those that are left."""
        left, losses = dict(tasks), 0
        while left:
            before = len(left)
            try:
                yield from Handover(self.connection, job, left, self._terms).results()
            except SchedulerLostError:
                losses = losses + 1 if len(left) == before else 0
                if losses == LOSSES:
                    raise
                self.connection.workers()


def _greet(connection: Connection) -> None:
    """Make sure that scheduler and workers have the client's software."""
    here = environment()
    answers = {f"scheduler {connection.address}": connection.ask_scheduler(environment)}
    answers |= {f"worker {who}": there for who, there in connection.ask(environment).items()}
    for who, there in answers.items():
        other = differences(here, there)
        if other:
            raise ClusterError(
                f"the {who} has other software than this machine ({', '.join(other)}); "
                "install the same everywhere"
            )


@contextmanager
def connected(scheduler: str, patience_s: float = PATIENCE_S) -> Iterator[RemoteCluster]:
    """Give the cluster of a scheduler's address.

    Raises
    ------
    UsageError
        If no scheduler answers at the address.
    ClusterError
        If it stays without workers, or some have other software.
    """
    connection = Connection(scheduler, patience_s)
    try:
        _greet(connection)
        yield RemoteCluster(connection)
    finally:
        connection.close()
