"""The target of a network that starts from the prior: what the prior finds on the slides themselves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsiseg.network.engine import Engine, make_engine
from wsiseg.training.config import TrainingConfig
from wsiseg.training.guided.consensus import consensus_target
from wsiseg.training.guided.fields import Maker
from wsiseg.training.guided.prior import Prior
from wsiseg.training.guided.stain_target import Pixels
from wsiseg.training.sources import TrainingSource

QUARTER_TURNS = 4


def teacher_maker(config: TrainingConfig, prior: Prior) -> Maker:
    """Return what makes the target of a field from the nuclei that the prior finds in it."""
    engine, planes = make_engine(prior.model, "cpu"), len(config.target.channels)

    def make(rgb: Pixels, source: TrainingSource) -> Pixels:
        return consensus_target(rgb, turned_mean(engine, rgb, source.table), config.mpp)[..., :planes]

    return make


def turned_mean(engine: Engine, rgb: Pixels, table: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the mean confidence over four quarter turns, two of them mirrored: (H, W, 3) -> (H, W).

    Errors that depend on which way up tissue lies cancel.
    """
    total = np.zeros(rgb.shape[:2], np.float32)
    for turns in range(QUARTER_TURNS):
        mirrored = slice(None, None, -1 if turns % 2 else 1)
        seen = np.ascontiguousarray(np.rot90(rgb, turns)[:, mirrored])
        total += np.rot90(engine.confidence(seen, table)[:, mirrored], -turns)
    mean: npt.NDArray[np.float32] = total / np.float32(QUARTER_TURNS)
    return mean
