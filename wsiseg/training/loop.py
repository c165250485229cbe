"""The training loop, from top to bottom: R repeats in lockstep; on a CPU R is 1."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from wsiseg.machine.allocator import give_back
from wsiseg.training.checkpoint import save_state
from wsiseg.training.learner import Alone, Repeat
from wsiseg.training.observer import FitObserver
from wsiseg.training.stacked import Stack
from wsiseg.training.state import HISTOGRAM_BINS, EpochRecord, RepeatState, copied
from wsiseg.training.step import StepLoss
from wsiseg.training.validation import Scores

SNAPSHOTS = 5


def train(
    repeats: Sequence[Repeat],
    states: Sequence[RepeatState],
    observer: FitObserver,
    goes_on: Callable[[], bool] = lambda: True,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Train R repeats that have the same number of finished epochs to their last epoch.

    Parameters
    ----------
    repeats : sequence of Repeat
        All of one configuration and device; several are trained as one network.
    states : sequence of RepeatState
        Their states, changed in place.
    observer : FitObserver
        Called on every step and epoch.
    goes_on : callable
        Called when an epoch is in the checkpoints; training ends if it returns False.
    stopped : callable
        Called after each step; training ends if it returns True, and the epoch's steps are lost.
    """
    for repeat, state in zip(repeats, states, strict=True):
        observer.repeat_started(repeat.number, len(state.history), repeat.config.epochs)
    learner = Alone(repeats[0], states[0]) if len(repeats) == 1 else Stack(repeats, states)
    all_totals = [EpochTotals(len(repeats)) for _ in repeats]
    streams = [
        repeat.stream.batches(repeat.number, len(state.history))
        for repeat, state in zip(repeats, states, strict=True)
    ]
    try:
        for batches in zip(*streams, strict=True):
            epoch, step, steps = batches[0].epoch, batches[0].step, batches[0].steps
            for repeat, totals, done in zip(repeats, all_totals, learner.step(batches), strict=True):
                totals.add(done)
                observer.step(repeat.number, epoch, step, steps, totals.loss, totals.skips)
            if stopped():
                return
            if step + 1 < steps:
                continue
            learner.settle()
            for repeat, state, totals, scores in zip(
                repeats, states, all_totals, learner.scores(), strict=True
            ):
                finish_epoch(state, repeat.config.epochs, totals, scores)
                save_state(repeat.folder, state)
                observer.epoch_done(repeat.number, state.history[-1], state.best_channel)
            give_back()
            if not goes_on():
                return
            all_totals = [EpochTotals(len(repeats)) for _ in repeats]
    finally:
        for stream in streams:
            stream.close()


def finish_epoch(state: RepeatState, epochs: int, totals: EpochTotals, scores: Scores) -> None:
    """Record an epoch and its scores; keep its weights if they are the best so far of a channel."""
    network = state.validated
    epoch = len(state.history) + 1
    record = EpochRecord(
        epoch=epoch,
        loss=totals.loss,
        skips=totals.skips,
        steps=totals.steps,
        scores=scores.stain,
        inverted=scores.inverted,
        dice=scores.dice,
        seconds=round(totals.seconds, 3),
    )
    state.history.append(record)
    state.histograms.append(totals.histograms())
    state.weights[epoch] = copied(network)
    wanted = {state.best_record(channel).epoch for channel in range(network.classes)}
    wanted.update(snapshot_epochs(epochs))
    state.weights = {epoch: weights for epoch, weights in state.weights.items() if epoch in wanted}


def snapshot_epochs(epochs: int) -> list[int]:
    """Return five epochs, counted from 1, spread evenly from the first to the last."""
    return sorted({1 + round(i * (epochs - 1) / (SNAPSHOTS - 1)) for i in range(SNAPSHOTS)})


class EpochTotals:
    """Totals over the steps of one epoch.

    Parameters
    ----------
    repeats : int
        Number of repeats that share the time.
    """

    def __init__(self, repeats: int = 1) -> None:
        self.steps, self.skips, self._started, self._repeats = 0, 0, time.monotonic(), repeats
        self._losses: list[float] = []
        self._counts: Tensor | None = None

    def add(self, done: StepLoss) -> None:
        """Count one step."""
        self.steps += 1
        self.skips += done.skipped
        if done.loss is not None:
            self._losses.append(done.loss.item())
        counts = torch.stack([_histogram(done.means), _histogram(done.entropies)])
        self._counts = counts if self._counts is None else self._counts + counts

    @property
    def seconds(self) -> float:
        """The repeat's share of the time since the epoch started."""
        return (time.monotonic() - self._started) / self._repeats

    @property
    def loss(self) -> float | None:
        """Mean loss so far."""
        return sum(self._losses) / len(self._losses) if self._losses else None

    def histograms(self) -> Tensor:
        """Return int32 (2, K, bins): candidates by A and by B."""
        assert self._counts is not None
        return self._counts


def _histogram(values: Tensor) -> Tensor:
    """Count values in [0, 1] for each class: (N, K, C) -> int32 (K, bins)."""
    bins = (values * HISTOGRAM_BINS).long().clamp(0, HISTOGRAM_BINS - 1)
    rows = [torch.bincount(column.flatten(), minlength=HISTOGRAM_BINS) for column in bins.unbind(1)]
    return torch.stack(rows).int()
