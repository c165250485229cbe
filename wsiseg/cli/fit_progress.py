"""Progress of a training: a live bar on a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from wsiseg.report.page import duration
from wsiseg.training.observer import FitObserver

if TYPE_CHECKING:
    from wsiseg.training.state import EpochRecord


class FitProgress(FitObserver):
    """Shows loss, skipped steps, score and the time left of the repeats in training.

    Parameters
    ----------
    repeats, epochs, consensus_epochs : int
        Size of the run.
    verbosity : int
        -1 says errors only.
    """

    def __init__(self, repeats: int, epochs: int, consensus_epochs: int = 0, verbosity: int = 0) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._repeats, self._quiet = repeats, verbosity < 0
        self._total = repeats * epochs + consensus_epochs
        # For each repeat: epochs done, epochs asked for, steps skipped, last score in words.
        self._done: dict[int, float] = {}
        self._epochs: dict[int, int] = {}
        self._skips: dict[int, int] = {}
        self._scores: dict[int, str] = {}
        self._trained, self._begun = 0.0, time.monotonic()
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
        """Print a line."""
        if not self._quiet:
            self._console.print(text, markup=False)

    def repeat_started(self, repeat: int, done: int, epochs: int) -> None:
        """Start counting a repeat."""
        self._done[repeat], self._epochs[repeat], self._skips[repeat] = done, epochs, 0
        if done:
            before = "was already finished" if done >= epochs else f"resumes after epoch {done}"
            self.message(f"{self._name(repeat)} {before}")
        if self._bar and self._task is not None:
            self._bar.update(self._task, description=self._running(), completed=sum(self._done.values()))

    def step(self, repeat: int, epoch: int, step: int, steps: int, loss: float | None, skips: int) -> None:
        """Move the bar."""
        self._trained += 1 / steps
        self._done[repeat] = epoch + (step + 1) / steps
        if self._bar and self._task is not None:
            shown = "-" if loss is None else f"{loss:.3f}"
            skipped = self._skips[repeat] + skips
            state = f"loss {shown}, {skipped} skipped{self._scores.get(repeat, '')}, {self._left()} left"
            self._bar.update(
                self._task, description=self._running(), completed=sum(self._done.values()), state=state
            )

    def epoch_done(self, repeat: int, record: EpochRecord, channel: int) -> None:
        """Print a line per epoch where there is no bar."""
        self._skips[repeat] += record.skips
        score = f", score {record.scores[channel]:.3f}"
        if record.dice is not None:
            score += f", Dice {record.dice[channel]:.3f}"
        self._scores[repeat] = score
        if not self._bar:
            loss = "-" if record.loss is None else f"{record.loss:.4f}"
            self.message(
                f"{self._name(repeat)} epoch {record.epoch}/{self._epochs[repeat]}: loss {loss}, "
                f"{record.skips} of {record.steps} steps skipped, channel {channel}{score}, "
                f"{record.seconds:.1f} s, {self._left()} left"
            )

    def repeat_done(self, repeat: int, folder: Path) -> None:
        """Do nothing: the last epoch said it all."""

    def _name(self, repeat: int) -> str:
        return f"repeat {repeat + 1}/{self._repeats}" if repeat < self._repeats else "consensus"

    def _running(self) -> str:
        """Return which repeats are in training, in words."""
        now = [repeat for repeat, done in sorted(self._done.items()) if done < self._epochs[repeat]]
        if len(now) < 2:
            return self._name(now[0] if now else max(self._done))
        names = ", ".join(str(repeat + 1) for repeat in now[:-1])
        return f"repeats {names} and {now[-1] + 1} of {self._repeats}"

    def _left(self) -> str:
        """Return the time left at the speed so far, in words."""
        rate = (time.monotonic() - self._begun) / max(self._trained, 1e-9)
        return duration(round(rate * max(0.0, self._total - sum(self._done.values()))))
