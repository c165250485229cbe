"""The progress of a training in a notebook."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from wsiseg.report.notebook_bar import NotebookBar
from wsiseg.training.observer import FitObserver

if TYPE_CHECKING:
    from wsiseg.training.state import EpochRecord

# A notebook redraws its cell at every update, and a step may take a tenth of a second.
UPDATE_EVERY_S = 0.5


class FitNotebookProgress(FitObserver):
    """A bar in the output of a notebook's cell.

    Parameters
    ----------
    repeats, epochs, consensus_epochs : int
        Size of the run.
    """

    def __init__(self, repeats: int, epochs: int, consensus_epochs: int = 0) -> None:
        self._bar = NotebookBar()
        self._repeats, self._total = repeats, repeats * epochs + consensus_epochs
        # Epochs done, by repeat.
        self._done: dict[int, float] = {}
        self._text, self._updated = "opening slides", 0.0

    def message(self, text: str) -> None:
        """Show the line until the next one."""
        self._text = text
        self._show()

    def repeat_started(self, repeat: int, done: int, epochs: int) -> None:
        """Start counting a repeat."""
        self._done[repeat] = done
        self._text = self._name(repeat)
        self._show()

    def step(self, repeat: int, epoch: int, step: int, steps: int, loss: float | None, skips: int) -> None:
        """Move the bar."""
        self._done[repeat] = epoch + (step + 1) / steps
        if time.monotonic() - self._updated >= UPDATE_EVERY_S:
            self._show()

    def epoch_done(self, repeat: int, record: EpochRecord, channel: int) -> None:
        """Show the score."""
        dice = "" if record.dice is None else f", Dice {record.dice[channel]:.3f}"
        score = f"score {record.scores[channel]:.3f}{dice}"
        self._text = f"{self._name(repeat)}, epoch {record.epoch}: {score}"
        self._show()

    def _name(self, repeat: int) -> str:
        return f"repeat {repeat + 1} of {self._repeats}" if repeat < self._repeats else "consensus"

    def _show(self) -> None:
        self._updated = time.monotonic()
        self._bar.show(sum(self._done.values()) / self._total, self._text)
