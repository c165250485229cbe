"""Which repeat, channel and epoch becomes the model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch

from wsiseg.errors import UsageError
from wsiseg.network.model import FILE_NAME, Model, ModelInfo, save_model
from wsiseg.training.config import TrainingConfig
from wsiseg.training.state import RepeatState, with_weights


@dataclass(frozen=True)
class Choice:
    """A channel of a repeat at its kept epoch.

    Parameters
    ----------
    repeat : int
        Counted from 1, as the folders are; 0 is the consensus.
    channel : int
        Counted from 0.
    epoch : int
        Counted from 1.
    inverted : bool
        Whether nuclei are low.
    score : float
        Label-free score.
    dice : float or None
        Dice with the labels, where there are labels.
    by : str
        "score", "labels", "consensus", "user", or "prior": the prior was kept in place of it.
    """

    repeat: int
    channel: int
    epoch: int
    inverted: bool
    score: float
    dice: float | None
    by: str

    @property
    def value(self) -> float:
        """The value by which choices are compared."""
        return self.score if self.dice is None else self.dice

    def __str__(self) -> str:
        """Return the choice and its reason in one line."""
        name = f"repeat {self.repeat}" if self.repeat else "consensus of the repeats"
        if self.by == "prior":
            return (
                f"the one that training started from, kept because it does better on these slides; "
                f"--select {self.repeat}:{self.channel} takes the fitted one ({name})"
            )
        inverted = ", inverted" if self.inverted else ""
        dice = "" if self.dice is None else f", Dice {self.dice:.3f}"
        why = {"user": ", as you chose", "score": ", chosen by its score", "labels": ", chosen by the labels"}
        return (
            f"{name}, channel {self.channel}{inverted}, epoch {self.epoch}, score {self.score:.3f}{dice}"
            f"{why.get(self.by, '')}"
        )


def parse_selection(text: str) -> tuple[int, int]:
    """Return (repeat, channel) of "REPEAT:CHANNEL".

    Raises
    ------
    UsageError
        If it is anything else.
    """
    match = re.fullmatch(r"\s*(\d{1,4})\s*:\s*(\d{1,2})\s*", text)
    if match is None:
        raise UsageError(
            f"--select {text}: expected REPEAT:CHANNEL, for example 3:1 (repeats from 1, channels from 0)"
        )
    return int(match[1]), int(match[2])


def choice_of(number: int, state: RepeatState, channel: int, by: str | None = None) -> Choice:
    """Return the choice of a channel of a repeat."""
    record = state.best_record(channel)
    return Choice(
        repeat=number,
        channel=channel,
        epoch=record.epoch,
        inverted=record.inverted[channel],
        score=record.scores[channel],
        dice=None if record.dice is None else record.dice[channel],
        by=by or ("score" if record.dice is None else "labels"),
    )


def choose(states: Mapping[int, RepeatState], consensus_epochs: int = 0) -> Choice:
    """Return the best channel of the best repeat, the first of equals; the consensus where it is finished.

    Parameters
    ----------
    states : mapping
        Repeat number, from 1, and 0 for the consensus -> its state, of at least one epoch.
    consensus_epochs : int
        Epochs after which the consensus is finished.
    """
    if 0 in states and states[0].history[-1].dice is None:
        if len(states[0].history) >= consensus_epochs:
            return choice_of(0, states[0], states[0].best_channel, by="consensus")
        states = {number: state for number, state in states.items() if number > 0}
    choices = [choice_of(number, state, state.best_channel) for number, state in sorted(states.items())]
    return max(choices, key=lambda choice: choice.value)


def selected(states: Mapping[int, RepeatState], text: str) -> Choice:
    """Return what the user selected as REPEAT:CHANNEL.

    Raises
    ------
    UsageError
        If there is no such repeat or channel.
    """
    number, channel = parse_selection(text)
    if number not in states:
        raise UsageError(f"--select {text}: no such repeat; there are {', '.join(map(str, sorted(states)))}")
    classes = states[number].network.classes
    if channel >= classes:
        raise UsageError(f"--select {text}: no such channel; there are 0 to {classes - 1}")
    return choice_of(number, states[number], channel, by="user")


def write_model(folder: Path, state: RepeatState, choice: Choice, config: TrainingConfig) -> Model:
    """Write the chosen model into a folder, and return it."""
    info = ModelInfo(
        classes=config.classes,
        channel=choice.channel,
        inverted=choice.inverted,
        threshold=config.threshold,
        adaptive=config.adaptive,
        mpp=config.mpp,
        input=config.input,
        preset=config.preset,
        seed=config.seed + max(0, choice.repeat - 1),
        score=round(choice.score, 6),
        training={**config.to_json(), "repeat": choice.repeat, "epoch": choice.epoch, "chosen_by": choice.by},
        versions=versions(),
    )
    return save_model(folder / FILE_NAME, with_weights(state.kept(choice.channel)), info)


def versions() -> dict[str, str]:
    """Return the versions that a model depends on."""
    try:
        own = metadata.version("wsiseg")
    except metadata.PackageNotFoundError:
        own = "unknown"
    return {"wsiseg": own, "torch": str(torch.__version__)}
