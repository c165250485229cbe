"""The rates of every step, as pure functions of the progress of training."""

from __future__ import annotations

import math
from typing import NamedTuple

from wsiseg.training.config import TrainingConfig

RISE = 0.15
# The second decay rate of Adam, the same at every step.
BETA2 = 0.999


class Rates(NamedTuple):
    """Settings of Adam at one step."""

    learning_rate: float
    beta1: float


def rates(config: TrainingConfig, step: int, steps: int) -> Rates:
    """Return the rates of one of `steps` steps, counted from 0.

    "onecycle" is that of Smith & Topin (2019) with cosines: from 1/25 of the rate up to it over the first
    15 % of the steps, then down to 1/250,000 of it; beta1 goes from 0.95 to 0.85 and back.
    """
    if config.schedule == "constant":
        return Rates(config.learning_rate, 0.9)
    top = RISE * steps - 1
    if step <= top:
        share = step / max(top, 1e-9)
        return Rates(config.learning_rate * _between(1 / 25, 1, share), _between(0.95, 0.85, share))
    share = min(1.0, (step - top) / max(steps - 1 - top, 1e-9))
    return Rates(config.learning_rate * _between(1, 4e-6, share), _between(0.85, 0.95, share))


def average_keeps(decay: float, step: int) -> float:
    """Return the share of the moving average that a step keeps: small at first, when few steps are in it."""
    return min(decay, (step + 1) / (step + 10))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
