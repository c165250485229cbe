"""Who watches a training; the command line draws its progress bar from it."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsiseg.training.state import EpochRecord


class FitObserver:
    """Is called on every event and does nothing; subclasses override what they show."""

    def message(self, text: str) -> None:
        """Take one line for the user."""

    def repeat_started(self, repeat: int, done: int, epochs: int) -> None:
        """Take note that a repeat starts, `done` epochs of `epochs` being done already."""

    def step(self, repeat: int, epoch: int, step: int, steps: int, loss: float | None, skips: int) -> None:
        """Take note of one step; loss and skips are those of the epoch so far."""

    def epoch_done(self, repeat: int, record: EpochRecord, channel: int) -> None:
        """Take note of a finished epoch and of the repeat's best channel so far."""

    def repeat_done(self, repeat: int, folder: Path) -> None:
        """Take note that a repeat is finished or stopped."""


class InTurn(FitObserver):
    """Passes the calls of several threads to another observer, one at a time.

    Parameters
    ----------
    observer : FitObserver
        The observer that is called.
    """

    def __init__(self, observer: FitObserver) -> None:
        self._observer, self._lock = observer, Lock()

    def message(self, text: str) -> None:
        """Pass a line on."""
        with self._lock:
            self._observer.message(text)

    def repeat_started(self, repeat: int, done: int, epochs: int) -> None:
        """Pass on that a repeat starts."""
        with self._lock:
            self._observer.repeat_started(repeat, done, epochs)

    def step(self, repeat: int, epoch: int, step: int, steps: int, loss: float | None, skips: int) -> None:
        """Pass a step on."""
        with self._lock:
            self._observer.step(repeat, epoch, step, steps, loss, skips)

    def epoch_done(self, repeat: int, record: EpochRecord, channel: int) -> None:
        """Pass an epoch on."""
        with self._lock:
            self._observer.epoch_done(repeat, record, channel)

    def repeat_done(self, repeat: int, folder: Path) -> None:
        """Pass on that a repeat is finished."""
        with self._lock:
            self._observer.repeat_done(repeat, folder)
