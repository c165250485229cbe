"""The networks of repeats while they are trained: how one repeat's weights change by a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from wsiseg.network.fcnn import FCNN
from wsiseg.training.config import TrainingConfig
from wsiseg.training.randomness import Purpose, torch_generator
from wsiseg.training.schedule import BETA2, average_keeps, rates
from wsiseg.training.state import RepeatState, Weights
from wsiseg.training.step import StepLoss, prepare, step_losses
from wsiseg.training.stream import Batch, CropStream
from wsiseg.training.validation import Scores, Validation


@dataclass(frozen=True)
class Repeat:
    """A repeat to train: its settings, data, device, folder and initial weights."""

    number: int
    config: TrainingConfig
    stream: CropStream
    validation: Validation
    device: torch.device
    folder: Path
    start: Weights | None = None

    def generator(self, batch: Batch) -> torch.Generator:
        """Return the generator for all random choices of the step on a batch."""
        return torch_generator(Purpose.STEP, self.config.seed + self.number, batch.epoch, batch.step)


class Learner(ABC):
    """The networks of R repeats that are trained in step."""

    @abstractmethod
    def step(self, batches: Sequence[Batch]) -> list[StepLoss]:
        """Change the weights of each repeat by one step on its batch."""

    @abstractmethod
    def settle(self) -> None:
        """Copy the networks' weights into the repeats' states."""

    @abstractmethod
    def scores(self) -> list[Scores]:
        """Score the settled states on the fixed crops of validation."""


class Alone(Learner):
    """One repeat, trained in its state (R = 1).

    Parameters
    ----------
    repeat : Repeat
        The repeat to train.
    state : RepeatState
        Changed by every step.
    """

    def __init__(self, repeat: Repeat, state: RepeatState) -> None:
        self._repeat, self._state = repeat, state

    def step(self, batches: Sequence[Batch]) -> list[StepLoss]:
        """Change the weights by one step on a batch."""
        (batch,) = batches
        repeat, state, config = self._repeat, self._state, self._repeat.config
        generator = repeat.generator(batch)
        images, target = prepare(batch, config, repeat.device, generator)
        state.network.train()
        (done,) = step_losses(
            state.network.logits(images)[None],
            images[None],
            config,
            [generator],
            target=None if target is None else target[None],
            target_weight=config.target_weight_at(batch.epoch),
            features=state.features,
        )
        if done.loss is None:
            return [done]
        place = batch.epoch * batch.steps + batch.step
        now = rates(config, place, config.epochs * batch.steps)
        for group in state.optimiser.param_groups:
            group["lr"], group["betas"] = now.learning_rate, (now.beta1, BETA2)
        state.optimiser.zero_grad(set_to_none=True)
        done.loss.backward()  # type: ignore[no-untyped-call]
        state.optimiser.step()
        if state.average is not None:
            follow(state.average, state.network, average_keeps(config.average, place))
        return [done]

    def settle(self) -> None:
        """Do nothing: the state itself is trained."""

    def scores(self) -> list[Scores]:
        """Score the network, or its moving average."""
        return [self._repeat.validation.score(self._state.validated.eval(), self._repeat.device)]


def follow(average: FCNN, network: FCNN, keep: float) -> None:
    """Move the average towards the weights."""
    with torch.no_grad():
        for old, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - keep)
            else:
                old.copy_(new)
