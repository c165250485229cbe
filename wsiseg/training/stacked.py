"""Repeats trained as one network, for GPUs, which one network of this size cannot fill."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from wsiseg.network.stacked import StackedFCNN, read_row, row_of, statistics
from wsiseg.training.config import TrainingConfig
from wsiseg.training.crops import Batch
from wsiseg.training.observer import Observer
from wsiseg.training.randomness import Stage, torch_generator
from wsiseg.training.schedule import Rates, rates
from wsiseg.training.state import RepeatState, save_state
from wsiseg.training.step import StepLoss, step_losses
from wsiseg.training.trainer import BETA2, Repeat, Tally, average_keeps, begin, finish_epoch, prepare

# What batch norm calls the number of its batches.
COUNT = "num_batches_tracked"


def can_stack(config: TrainingConfig) -> bool:
    """Whether repeats can be one network: not with the feature network of the cosine, which each trains."""
    return config.similarity != "cosine"


def train_stacked(
    repeats: Sequence[Repeat], jobs: int, observer: Observer, goes_on: Callable[[], bool] = lambda: True
) -> Iterator[tuple[int, RepeatState]]:
    """Train repeats, `jobs` of them at a time as one network; each becomes what it is alone, to rounding.

    Parameters
    ----------
    repeats : sequence of Repeat
        Of one configuration and device.
    jobs : int
        Repeats in one network.
    observer : Observer
    goes_on : callable
        Asked after every epoch; training stops where it returns False.

    Yields
    ------
    int, RepeatState
        Place in `repeats` and state as far as training came.
    """
    states = [begin(repeat) for repeat in repeats]
    for repeat, state in zip(repeats, states, strict=True):
        observer.repeat_started(repeat.number, len(state.history), repeat.config.epochs)
    while True:
        done = [len(state.history) for state in states]
        unfinished = [place for place, repeat in enumerate(repeats) if done[place] < repeat.config.epochs]
        if not unfinished:
            break
        # A run that was stopped may have left them at different epochs: those behind catch up first.
        least = min(done[place] for place in unfinished)
        together = [place for place in unfinished if done[place] == least][:jobs]
        until = min((n for n in done if n > least), default=repeats[together[0]].config.epochs)
        its_repeats, its_states = [repeats[p] for p in together], [states[p] for p in together]
        if not _train_together(its_repeats, its_states, until, observer, goes_on):
            break
    yield from enumerate(states)


def _train_together(
    repeats: Sequence[Repeat],
    states: Sequence[RepeatState],
    until: int,
    observer: Observer,
    goes_on: Callable[[], bool],
) -> bool:
    """Train repeats of the same number of epochs until an epoch is done; False if they had to stop before."""
    stack, count = _Stack(states, repeats[0].config), len(repeats)
    tallies = [Tally(count) for _ in repeats]
    streams = [
        repeat.stream.batches(repeat.number, len(state.history))
        for repeat, state in zip(repeats, states, strict=True)
    ]
    try:
        for batches in zip(*streams, strict=True):
            epoch, step, steps = batches[0].epoch, batches[0].step, batches[0].steps
            for repeat, tally, done in zip(repeats, tallies, stack.step(repeats, batches), strict=True):
                tally.add(done)
                observer.step(repeat.number, epoch, step, steps, tally.loss, tally.skips)
            if step + 1 < steps:
                continue
            stack.write(states)
            validated = StackedFCNN([state.validated for state in states]).eval()
            # The crops are the same for all repeats.
            scores = repeats[0].validation.score_all(validated.logits_of_same, repeats[0].device)
            for repeat, state, tally, its in zip(repeats, states, tallies, scores, strict=True):
                finish_epoch(state, repeat, tally, its)
                save_state(repeat.folder, state)
                observer.epoch_done(repeat.number, state.history[-1], state.best_channel)
            if not goes_on():
                return False
            if epoch + 1 == until:
                return True
            tallies = [Tally(count) for _ in repeats]
    finally:
        for stream in streams:
            stream.close()
    return True


class _Stack:
    """Weights, Adam's moments and moving averages of R repeats, a row each."""

    def __init__(self, states: Sequence[RepeatState], config: TrainingConfig) -> None:
        self._config = config
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

    def step(self, repeats: Sequence[Repeat], batches: Sequence[Batch]) -> list[StepLoss]:
        """Change the weights of each repeat by one step on its batch; see `trainer.train_step`."""
        config, first = self._config, batches[0]
        generators = [
            torch_generator(Stage.STEP, config.seed + repeat.number, first.epoch, first.step)
            for repeat in repeats
        ]
        prepared = [
            prepare(batch, config, repeat.device, generator)
            for batch, repeat, generator in zip(batches, repeats, generators, strict=True)
        ]
        images = torch.stack([its for its, _ in prepared])
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
        losses = [its.loss for its in done if its.loss is not None]
        if losses:
            self.network.rows.grad = None
            torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
            place = first.epoch * first.steps + first.step
            moves = torch.tensor([its.loss is not None for its in done], device=images.device)[:, None]
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

    def write(self, states: Sequence[RepeatState]) -> None:
        """Put what the repeats have become into their states."""
        for place, state in enumerate(states):
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
