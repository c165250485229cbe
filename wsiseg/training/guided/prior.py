"""The prior: a model from elsewhere that votes with the repeats, and from which the consensus starts."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import torch

from wsiseg.errors import ModelError, UsageError
from wsiseg.network.architecture import WIDTH
from wsiseg.network.model import load_model
from wsiseg.training.config import TrainingConfig

NONE = "none"


@dataclass(frozen=True)
class Prior:
    """A trained network.

    Parameters
    ----------
    weights : dict of str to Tensor
        Its tensors by name.
    channel : int
        The one that shows nuclei.
    sha256 : str
        Of its file.
    """

    weights: dict[str, torch.Tensor]
    channel: int
    sha256: str


def find_prior(config: TrainingConfig, given: str | os.PathLike[str] | None) -> Prior | None:
    """Return the prior of a run.

    Parameters
    ----------
    config : TrainingConfig
        Says which network is needed.
    given : path-like, optional
        A model file or run folder; "none" for no prior. If omitted, the model that ships, if it matches.

    Raises
    ------
    UsageError
        If the preset has no consensus, or the model's input or output differs from the networks'.
    ModelError
        If it cannot be read.
    """
    unwanted = given is not None and os.fspath(given) == NONE
    if config.consensus_epochs == 0 and given is not None and not unwanted:
        raise UsageError(
            f"--prior {os.fspath(given)}: preset {config.preset} has no consensus in which it could vote; "
            "leave --prior out"
        )
    if config.consensus_epochs == 0 or unwanted:
        return None
    model = load_model(given)
    info = model.info
    unlike = [
        f"{name} is {own}, but {wanted} in this run"
        for name, own, wanted in (
            ("its input", info.input, config.input),
            ("its resolution", info.mpp, config.mpp),
            ("its width", model.width, WIDTH),
            ("its number of channels", info.classes, config.classes),
            ("its polarity", "inverted" if info.inverted else "plain", "plain"),
        )
        if own != wanted
    ]
    if unlike and given is not None:
        raise ModelError(
            f"--prior {os.fspath(given)}: cannot vote in this run: {'; '.join(unlike)}; leave it out"
        )
    if unlike:
        return None
    weights = {name: torch.from_numpy(np.array(values)) for name, values in model.weights.items()}
    return Prior(weights, info.channel, model.sha256)
