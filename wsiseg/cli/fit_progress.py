"""Progress of a training: a live bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from wsiseg.report.page import duration
from wsiseg.training.observer import Observer

if TYPE_CHECKING:
    from wsiseg.training.state import EpochRecord


class FitProgress(Observer):
    """Shows loss, skipped steps, score and the time left.

    Parameters
    ----------
    repeats, epochs, consensus_epochs : int
        Size of the run.
    verbosity : int
        -1 says errors only.
    """

    def __init__(self, repeats: int, epochs: int, consensus_epochs: int = 0, verbosity: int = 0) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._repeats, self._epochs, self._quiet = repeats, epochs, verbosity < 0
        self._total, self._name, self._epochs_now = repeats * epochs + consensus_epochs, "", epochs
        self._score, self._skips, self._trained, self._begun = "", 0, 0.0, time.monotonic()
        self._bar: Progress | None = None
        if not self._quiet and self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.fields[state]}", markup=False),
                TimeElapsedColumn(),
                console=self._console,
            )
        self._task: TaskID | None = None

    def __enter__(self) -> FitProgress:
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task("opening slides", total=self._total, state="")
        return self

    def __exit__(self, *_rest: object) -> None:
        if self._bar:
            self._bar.stop()

    def message(self, text: str) -> None:
        """See `Observer`."""
        if not self._quiet:
            self._console.print(text, markup=False)

    def repeat_started(self, repeat: int, done: int, epochs: int) -> None:
        """See `Observer`."""
        self._score, self._skips, self._epochs_now = "", 0, epochs
        self._name = f"repeat {repeat + 1}/{self._repeats}" if repeat < self._repeats else "consensus"
        if done:
            self.message(
                f"{self._name} {'was finished before' if done >= epochs else f'goes on after epoch {done}'}"
            )
        if self._bar and self._task is not None:
            self._bar.update(self._task, description=self._name, completed=repeat * self._epochs + done)

    def step(self, repeat: int, epoch: int, step: int, steps: int, loss: float | None, skips: int) -> None:
        """See `Observer`."""
        self._trained += 1 / steps
        if self._bar and self._task is not None:
            place = repeat * self._epochs + epoch + (step + 1) / steps
            shown = "-" if loss is None else f"{loss:.3f}"
            state = f"loss {shown}, {self._skips + skips} skipped{self._score}, {self._left(place)} left"
            self._bar.update(self._task, completed=place, state=state)

    def epoch_done(self, repeat: int, record: EpochRecord, channel: int) -> None:
        """See `Observer`."""
        self._skips += record.skips
        self._score = f", score {record.scores[channel]:.3f}"
        if record.dice is not None:
            self._score += f", Dice {record.dice[channel]:.3f}"
        if not self._bar:
            loss = "-" if record.loss is None else f"{record.loss:.4f}"
            place = repeat * self._epochs + record.epoch
            self.message(
                f"{self._name} epoch {record.epoch}/{self._epochs_now}: loss {loss}, "
                f"{record.skips} of {record.steps} steps skipped, channel {channel}{self._score}, "
                f"{record.seconds:.1f} s, {self._left(place)} left"
            )

    def repeat_done(self, repeat: int, folder: Path) -> None:
        """See `Observer`."""

    def _left(self, place: float) -> str:
        """Return the time left at the speed so far, in words."""
        rate = (time.monotonic() - self._begun) / max(self._trained, 1e-9)
        return duration(round(rate * (self._total - place)))
