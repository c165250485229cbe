"""Repeats trained as one network, for GPUs, which one network of this size cannot fill."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from wsiseg.network.stacked import StackedFCNN, read_row, row_of, statistics
from wsiseg.training.config import TrainingConfig
from wsiseg.training.learner import Learner, Repeat
from wsiseg.training.schedule import BETA2, Rates, average_keeps, rates
from wsiseg.training.state import RepeatState
from wsiseg.training.step import StepLoss, prepare, step_losses
from wsiseg.training.stream import Batch
from wsiseg.training.validation import Scores

# torch's name for the number of batches that a batch norm has seen.
COUNT = "num_batches_tracked"


def can_stack(config: TrainingConfig) -> bool:
    """Whether repeats can be one network: not with the feature network of the cosine, which each trains."""
    return config.similarity != "cosine"


class Stack(Learner):
    """R repeats as one network: weights, Adam's moments and moving averages, a row each.

    Each repeat ends as it would alone, up to rounding.

    Parameters
    ----------
    repeats : sequence of Repeat
        Of one configuration and device.
    states : sequence of RepeatState
        Of as many epochs; changed by `settle`.
    """

    def __init__(self, repeats: Sequence[Repeat], states: Sequence[RepeatState]) -> None:
        self._repeats, self._states, self._config = repeats, states, repeats[0].config
        self.network = StackedFCNN([state.network for state in states]).train()
        rows = self.network.rows
        self._steps = torch.zeros(len(states), 1, dtype=torch.float64, device=rows.device)
        self._first, self._second = torch.zeros_like(rows), torch.zeros_like(rows)
        for place, state in enumerate(states):
            kept = [
                state.optimiser.state[p] for p in state.network.parameters() if p in state.optimiser.state
            ]
            if kept:
                self._steps[place] = float(kept[0]["step"])
                self._first[place] = row_of(("", its["exp_avg"]) for its in kept)
                self._second[place] = row_of(("", its["exp_avg_sq"]) for its in kept)
        averages = [state.average for state in states if state.average is not None]
        self._average = None
        if averages:
            self._average = (
                torch.stack([row_of(average.named_parameters()) for average in averages]),
                torch.stack([row_of(statistics(average)) for average in averages]),
            )
        self._batches = 0

    def step(self, batches: Sequence[Batch]) -> list[StepLoss]:
        """Change the weights of each repeat by one step on its batch."""
        config, first = self._config, batches[0]
        generators = [repeat.generator(batch) for repeat, batch in zip(self._repeats, batches, strict=True)]
        prepared = [
            prepare(batch, config, repeat.device, generator)
            for batch, repeat, generator in zip(batches, self._repeats, generators, strict=True)
        ]
        images = torch.stack([seen for seen, _ in prepared])
        targets = [target for _, target in prepared if target is not None]
        done = step_losses(
            self.network.logits(images),
            images,
            config,
            generators,
            target=torch.stack(targets) if targets else None,
            target_weight=config.target_weight_at(first.epoch),
        )
        self._batches += 1
        losses = [step.loss for step in done if step.loss is not None]
        if losses:
            self.network.rows.grad = None
            torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
            place = first.epoch * first.steps + first.step
            moves = torch.tensor([step.loss is not None for step in done], device=images.device)[:, None]
            self._adam(moves, rates(config, place, config.epochs * first.steps))
            self._follow(moves, place)
        return done

    @torch.no_grad()
    def _adam(self, moves: Tensor, now: Rates) -> None:
        """Do a step of Adam on the rows that move; the others keep everything as it is."""
        rows = self.network.rows
        assert rows.grad is not None
        gradient = rows.grad + self._config.weight_decay * rows
        self._steps += moves
        self._first = torch.where(moves, self._first.lerp(gradient, 1 - now.beta1), self._first)
        second = BETA2 * self._second + (1 - BETA2) * gradient.square()
        self._second = torch.where(moves, second, self._second)
        size = now.learning_rate / (1 - now.beta1**self._steps)
        spread = self._second.sqrt() / (1 - BETA2**self._steps).sqrt().float() + 1e-8
        rows.copy_(torch.where(moves, rows - size.float() * self._first / spread, rows))

    @torch.no_grad()
    def _follow(self, moves: Tensor, step: int) -> None:
        if self._average is not None:
            keep = average_keeps(self._config.average, step)
            for old, new in zip(self._average, (self.network.rows, self.network.running), strict=True):
                old.copy_(torch.where(moves, old.lerp(new, 1 - keep), old))

    def scores(self) -> list[Scores]:
        """Score the networks, or their moving averages, as one."""
        validated = StackedFCNN([state.validated for state in self._states]).eval()
        # The crops are the same for all repeats.
        first = self._repeats[0]
        return first.validation.score_all(validated.logits_of_same, first.device)

    def settle(self) -> None:
        """Copy the trained weights into the repeats' states."""
        for place, state in enumerate(self._states):
            read_row(self.network.rows[place], state.network.named_parameters())
            read_row(self.network.running[place], statistics(state.network))
            parameters = list(state.network.parameters())
            moments = [
                {"exp_avg": torch.empty_like(p), "exp_avg_sq": torch.empty_like(p)} for p in parameters
            ]
            read_row(self._first[place], (("", its["exp_avg"]) for its in moments))
            read_row(self._second[place], (("", its["exp_avg_sq"]) for its in moments))
            steps = self._steps[place, 0].float().cpu()
            if steps > 0:
                for parameter, its in zip(parameters, moments, strict=True):
                    state.optimiser.state[parameter] = {"step": steps.clone(), **its}
            for name, buffer in state.network.named_buffers():
                if name.endswith(COUNT):
                    buffer += self._batches
            if self._average is not None and state.average is not None:
                read_row(self._average[0][place], state.average.named_parameters())
                read_row(self._average[1][place], statistics(state.average))
                counts = dict(state.network.named_buffers())
                for name, buffer in state.average.named_buffers():
                    if name.endswith(COUNT):
                        buffer.copy_(counts[name])
        self._batches = 0
