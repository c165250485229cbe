"""The training loop of one repeat, read from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from wsiseg.network.fcnn import FCNN, normalise
from wsiseg.training.config import TrainingConfig
from wsiseg.training.crops import Batch, CropStream
from wsiseg.training.guided.augment import flip, jitter_rgb, jitter_stains
from wsiseg.training.observer import Observer
from wsiseg.training.randomness import Stage, torch_generator
from wsiseg.training.schedule import rates
from wsiseg.training.state import (
    HISTOGRAM_BINS,
    EpochRecord,
    RepeatState,
    Weights,
    copied,
    load_state,
    save_state,
)
from wsiseg.training.step import StepLoss, step_loss
from wsiseg.training.validation import Scores, Validation

SNAPSHOTS = 5
# Of Adam.
BETA2 = 0.999


@dataclass(frozen=True)
class Repeat:
    """Which repeat is trained, with what, where its state is kept, and what weights it starts from."""

    number: int
    config: TrainingConfig
    stream: CropStream
    validation: Validation
    device: torch.device
    folder: Path
    start: Weights | None = None


def begin(repeat: Repeat) -> RepeatState:
    """Return the state of a repeat's checkpoint, or that before its first step.

    Layers draw from torch's one generator: not to be called from two threads at once.
    """
    return load_state(repeat.folder, repeat.config, repeat.number, repeat.device, repeat.start)


def train_repeat(
    repeat: Repeat,
    observer: Observer,
    after_epoch: Callable[[RepeatState], bool] = lambda state: True,
    after_step: Callable[[], bool] = lambda: True,
    state: RepeatState | None = None,
) -> RepeatState:
    """Train one repeat from its checkpoint, or from the start, to its last epoch.

    Parameters
    ----------
    repeat : Repeat
    observer : Observer
        Is told of every step and epoch.
    after_epoch : callable
        Called when an epoch is in the checkpoint; training stops where it returns False.
    after_step : callable
        Called after each step; training stops where it returns False, and the epoch's steps are lost.
    state : RepeatState, optional
        What `begin` returned, where another thread has called it.

    Returns
    -------
    RepeatState
        As far as training came.
    """
    config = repeat.config
    state = state or begin(repeat)
    observer.repeat_started(repeat.number, len(state.history), config.epochs)
    tally = Tally()
    batches = repeat.stream.batches(repeat.number, len(state.history))
    try:
        for batch in batches:
            state.network.train()
            done = train_step(state, repeat, batch)
            tally.add(done)
            observer.step(repeat.number, batch.epoch, batch.step, batch.steps, tally.loss, tally.skips)
            if not after_step():
                break
            if batch.step + 1 < batch.steps:
                continue
            finish_epoch(state, repeat, tally, repeat.validation.score(state.validated.eval(), repeat.device))
            save_state(repeat.folder, state)
            observer.epoch_done(repeat.number, state.history[-1], state.best_channel)
            tally = Tally()
            if not after_epoch(state):
                break
    finally:
        batches.close()
    return state


def train_step(state: RepeatState, repeat: Repeat, batch: Batch) -> StepLoss:
    """Change the weights by one step on a batch."""
    config = repeat.config
    generator = torch_generator(Stage.STEP, config.seed + repeat.number, batch.epoch, batch.step)
    images, target = prepare(batch, config, repeat.device, generator)
    done = step_loss(
        state.network,
        images,
        config,
        generator,
        target=target,
        target_weight=config.target_weight_at(batch.epoch),
        features=state.features,
    )
    if done.loss is None:
        return done
    now = rates(config, batch.epoch * batch.steps + batch.step, config.epochs * batch.steps)
    for group in state.optimiser.param_groups:
        group["lr"], group["betas"] = now.learning_rate, (now.beta1, BETA2)
    state.optimiser.zero_grad(set_to_none=True)
    done.loss.backward()  # type: ignore[no-untyped-call]
    state.optimiser.step()
    if state.average is not None:
        _follow(state.average, state.network, config.average, batch.epoch * batch.steps + batch.step)
    return done


def prepare(
    batch: Batch, config: TrainingConfig, device: torch.device, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Return what the network sees of a batch, augmented, and its target, in [0, 1]."""
    images = torch.from_numpy(batch.images)
    target = (
        None if batch.target is None else torch.from_numpy(batch.target).permute(0, 3, 1, 2).float() / 255
    )
    if config.flips:
        images, target = flip(images, target, generator)
    if config.jitter > 0 or config.shift > 0:
        jittered = jitter_rgb if config.input == "rgb" else jitter_stains
        colours = ((images - 0.05) / 0.95).clamp(0, 1)
        images = normalise(jittered(colours, config.jitter, config.shift, generator))
    images = images.to(device).contiguous(memory_format=torch.channels_last)
    return images, None if target is None else target.to(device)


def finish_epoch(state: RepeatState, repeat: Repeat, tally: Tally, scores: Scores) -> None:
    """Record an epoch and its scores, and keep the weights that are the best so far of a channel."""
    network = state.validated
    epoch = len(state.history) + 1
    record = EpochRecord(
        epoch=epoch,
        loss=tally.loss,
        skips=tally.skips,
        steps=tally.steps,
        scores=scores.stain,
        inverted=scores.inverted,
        dice=scores.dice,
        seconds=round(tally.seconds, 3),
    )
    state.history.append(record)
    state.histograms.append(tally.histograms())
    state.weights[epoch] = copied(network)
    wanted = {state.best_record(channel).epoch for channel in range(network.classes)}
    wanted.update(snapshot_epochs(repeat.config.epochs))
    state.weights = {epoch: weights for epoch, weights in state.weights.items() if epoch in wanted}


def snapshot_epochs(epochs: int) -> list[int]:
    """Return five epochs, counted from 1, spread evenly from the first to the last."""
    return sorted({1 + round(i * (epochs - 1) / (SNAPSHOTS - 1)) for i in range(SNAPSHOTS)})


def average_keeps(decay: float, step: int) -> float:
    """Return what a step leaves of the moving average: little at first, when it is of few steps."""
    return min(decay, (step + 1) / (step + 10))


def _follow(average: FCNN, network: FCNN, decay: float, step: int) -> None:
    """Move the average towards the weights."""
    keep = average_keeps(decay, step)
    with torch.no_grad():
        for old, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - keep)
            else:
                old.copy_(new)


class Tally:
    """What the steps of one epoch add up to.

    Parameters
    ----------
    repeats : int
        Repeats that share the time.
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
        """The repeat's share of the time since the epoch began."""
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
