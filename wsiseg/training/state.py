"""Everything that a repeat has learned so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from wsiseg.network.fcnn import FCNN
from wsiseg.training.config import TrainingConfig
from wsiseg.training.paper.feature_network import FeatureNetwork

HISTOGRAM_BINS = 40

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class EpochRecord:
    """The result of one epoch, with a value per channel in `scores`, `inverted` and `dice`.

    Parameters
    ----------
    epoch : int
        Counted from 1.
    loss : float or None
        Mean over the steps that changed the network; None when all were skipped.
    skips, steps : int
        Steps whose contrastive losses were left out, and all steps.
    scores : tuple of float
        Agreement with the stain.
    inverted : tuple of bool
        Whether nuclei are where the channel is low.
    dice : tuple of float or None
        Dice with the labels, where there are labels.
    seconds : float
        Time that the epoch took.
    """

    epoch: int
    loss: float | None
    skips: int
    steps: int
    scores: tuple[float, ...]
    inverted: tuple[bool, ...]
    dice: tuple[float, ...] | None
    seconds: float

    def value(self, channel: int) -> float:
        """Return the value by which the channel is chosen: Dice if there are labels, else the score."""
        return self.scores[channel] if self.dice is None else self.dice[channel]


@dataclass
class RepeatState:
    """A repeat between two epochs.

    Parameters
    ----------
    network : FCNN
        The network that is trained.
    features : FeatureNetwork or None
        Trained along for the cosine similarity.
    optimiser : torch.optim.Adam
        With its moments.
    average : FCNN or None
        Moving average of the weights.
    history : list of EpochRecord
        One for each epoch that is done.
    weights : dict of int to Weights
        By epoch, counted from 1: those at each channel's best epoch so far, and a few for figures.
    takes_last : bool
        Whether the last epoch is taken where there are no labels, and channel 0.
    histograms : list of Tensor
        For each epoch, int32 (2, K, bins): candidates by A and by B in [0, 1].
    """

    network: FCNN
    features: FeatureNetwork | None
    optimiser: torch.optim.Adam
    average: FCNN | None
    history: list[EpochRecord] = field(default_factory=list)
    weights: dict[int, Weights] = field(default_factory=dict)
    histograms: list[Tensor] = field(default_factory=list)
    takes_last: bool = False

    @property
    def validated(self) -> FCNN:
        """The network that is scored and kept: the average where there is one."""
        return self.network if self.average is None else self.average

    def best_record(self, channel: int) -> EpochRecord:
        """Return the record of the epoch at which the channel is taken: the best one, the first of equals."""
        if self.takes_last and self.history[-1].dice is None:
            return self.history[-1]
        return max(self.history, key=lambda record: record.value(channel))

    def kept(self, channel: int) -> Weights:
        """Return the weights at the channel's best epoch."""
        return self.weights[self.best_record(channel).epoch]

    @property
    def best_channel(self) -> int:
        """The chosen channel: the one with the best value, the first of equals."""
        if self.takes_last and self.history[-1].dice is None:
            return 0
        channels = range(self.network.classes)
        return max(channels, key=lambda channel: self.best_record(channel).value(channel))


def new_state(
    config: TrainingConfig, repeat: int, device: torch.device, start: Mapping[str, Tensor] | None = None
) -> RepeatState:
    """Return the state before the first step; weights follow from the repeat's seed alone, or are `start`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed + repeat)
        network = FCNN(config.classes, config.width)
        features = FeatureNetwork() if config.similarity == "cosine" else None
    if start is not None:
        network.load_state_dict(dict(start))
    network = channels_last(network.to(device))
    features = None if features is None else features.to(device)
    parameters = [*network.parameters(), *(features.parameters() if features else ())]
    optimiser = torch.optim.Adam(
        parameters, lr=config.learning_rate, weight_decay=config.weight_decay, foreach=False
    )
    average = None
    if config.average > 0:
        average = channels_last(FCNN(config.classes, config.width).to(device)).eval()
        average.load_state_dict(network.state_dict())
    return RepeatState(network, features, optimiser, average, takes_last=config.takes_last)


def channels_last(network: FCNN) -> FCNN:
    """Return the network with its weights laid out channels last, which is twice as fast on a CPU."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def copied(network: FCNN) -> Weights:
    """Return a copy of the weights, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def with_weights(weights: Mapping[str, Tensor]) -> FCNN:
    """Return a network in evaluation mode with these weights, on the CPU."""
    network = FCNN(len(weights["head.bias"]), len(weights["stem.0.weight"]))
    network.load_state_dict(dict(weights))
    return network.eval()
