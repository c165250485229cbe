"""Compute tasks and add up their results."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from wsiseg.inference.graph import Cluster, StageResult, Task
from wsiseg.inference.job import SlideJob
from wsiseg.inference.observer import PredictObserver
from wsiseg.machine.allocator import give_back
from wsiseg.machine.locks import Held
from wsiseg.store.states import Key

# Tasks; otherwise freed memory piles up in the process, more of it the longer the slide takes.
GIVE_BACK_EVERY = 50


class Tally:
    """Seconds per step, and the number of finished tasks.

    Parameters
    ----------
    observer : PredictObserver
        Called after each task.
    """

    def __init__(self, observer: PredictObserver) -> None:
        self.seconds: Counter[str] = Counter()
        self.tasks = 0
        self._observer = observer

    def add(self, result: StageResult) -> None:
        """Add the result of one task."""
        self.tasks += 1
        for step, value in result.seconds.items():
            self.seconds[step] += value  # type: ignore[assignment]
        if result.failure is not None:
            self._observer.tile_failed(result.key.row, result.key.col, result.failure)
        self._observer.advanced(result.pixels / 1e6, result.nuclei)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the seconds of a block of code."""
        started = time.perf_counter()
        yield
        self.seconds[step] += time.perf_counter() - started  # type: ignore[assignment]


def compute(job: SlideJob, tasks: Mapping[Key, Task], cluster: Cluster, claim: Held, tally: Tally) -> None:
    """Compute tasks for as long as the claim on the slide holds.

    Raises
    ------
    LostError
        If another run has taken the slide over.
    """
    with closing(cluster.run(job, tasks)) as results:
        for result in results:
            claim.check()
            tally.add(result)
            if tally.tasks % GIVE_BACK_EVERY == 0:
                give_back()
