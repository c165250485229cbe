"""Observers of a training, such as progress bars."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsiseg.training.state import EpochRecord


class FitObserver:
    """Receives the events of a run and ignores them; subclasses override what they show."""

    def message(self, text: str) -> None:
        """Handle a line of text for the user."""

    def repeat_started(self, repeat: int, done: int, epochs: int) -> None:
        """Handle the start of a repeat that has `done` of `epochs` epochs behind it."""

    def step(self, repeat: int, epoch: int, step: int, steps: int, loss: float | None, skips: int) -> None:
        """Handle one step; loss and skips are those of the epoch so far."""

    def epoch_done(self, repeat: int, record: EpochRecord, channel: int) -> None:
        """Handle a finished epoch and the repeat's best channel so far."""

    def repeat_done(self, repeat: int, folder: Path) -> None:
        """Handle the end of a repeat, finished or stopped."""


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
