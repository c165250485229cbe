"""Repeats on a folder of pictures, and their training one by one or as one network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from wsiseg.slides.expand import expand
from wsiseg.training.checkpoint import load_state
from wsiseg.training.config import TrainingConfig
from wsiseg.training.guided.consensus import stain_maker
from wsiseg.training.guided.fields import Fields
from wsiseg.training.learner import Repeat
from wsiseg.training.loop import train
from wsiseg.training.observer import FitObserver
from wsiseg.training.side_by_side import in_step
from wsiseg.training.sources import OpenViews, TrainingSource, check_sources
from wsiseg.training.state import RepeatState
from wsiseg.training.stream import CropStream
from wsiseg.training.validation import make_validation

CPU = torch.device("cpu")


def opened_sources(images: Path, config: TrainingConfig) -> list[TrainingSource]:
    """Return the pictures of a folder as sources, none of which may fail."""
    sources, failures = check_sources(expand([str(images)], 0.25), config)
    assert not failures
    return sources


def repeats_of(images: Path, config: TrainingConfig, folder: Path, count: int = 1) -> list[Repeat]:
    """Return repeats whose states are kept in folders inside a folder."""
    sources = opened_sources(images, config)
    views = OpenViews(config.mpp)
    maker = stain_maker(config)
    fields = None if maker is None else Fields(sources, config, views, maker)
    stream = CropStream(sources, config, views, 2, fields)
    validation = make_validation(sources, config, views)
    repeats = [Repeat(n, config, stream, validation, CPU, folder / str(n)) for n in range(count)]
    for repeat in repeats:
        repeat.folder.mkdir(parents=True, exist_ok=True)
    return repeats


def states_of(repeats: Sequence[Repeat]) -> list[RepeatState]:
    """Return the states of the checkpoints, or those before the first step."""
    return [load_state(r.folder, r.config, r.number, r.device, r.start) for r in repeats]


def trained(repeats: Sequence[Repeat], most: int = 1, **options: Any) -> list[RepeatState]:
    """Train repeats, up to `most` as one network; options are those of `train`."""
    states = states_of(repeats)
    options = {"observer": FitObserver(), **options}
    for places in in_step(states, most):
        train([repeats[p] for p in places], [states[p] for p in places], **options)
    return states
