"""The prior: a model from elsewhere from which a run starts, and which votes or teaches in it."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import torch

from wsiseg.errors import ModelError, UsageError
from wsiseg.network.model import SHIPPED, Model, load_model, shipped_model
from wsiseg.training.config import TrainingConfig

NONE = "none"


@dataclass(frozen=True)
class Prior:
    """A trained network.

    Parameters
    ----------
    model : Model
        Its weights and settings.
    name : str
        Name among those that ship, or path.
    """

    model: Model
    name: str

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """Its tensors by name."""
        return {name: torch.from_numpy(np.array(values)) for name, values in self.model.weights.items()}

    @property
    def channel(self) -> int:
        """The channel that shows nuclei."""
        return self.model.info.channel

    @property
    def sha256(self) -> str:
        """The hash of its file."""
        return self.model.sha256


def find_prior(config: TrainingConfig, given: str | os.PathLike[str] | None) -> Prior | None:
    """Return the prior of a run.

    Parameters
    ----------
    config : TrainingConfig
        Says which network is needed.
    given : path-like, optional
        A model file or run folder; "none" for no prior. If omitted, the model that ships and matches.

    Raises
    ------
    UsageError
        If the preset has no use for a prior, if it cannot do without, or if the model's input or output
        differs from the networks'.
    ModelError
        If it cannot be read.
    """
    unwanted = given is not None and os.fspath(given) == NONE
    if config.taught:
        if unwanted:
            raise UsageError(
                f"--prior {NONE}: preset {config.preset} starts from a model; give one, or take "
                "--preset small, which can do without"
            )
    elif unwanted or config.consensus_epochs == 0:
        if given is not None and not unwanted:
            raise UsageError(
                f"--prior {os.fspath(given)}: preset {config.preset} has no use for it; leave --prior out"
            )
        return None
    if given is not None:
        model = load_model(given)
        if unlike := _unlike(model, config):
            raise ModelError(
                f"--prior {os.fspath(given)}: does not fit this run: {'; '.join(unlike)}; leave it out"
            )
        return Prior(model, os.fspath(given))
    shipped = [Prior(shipped_model(name), name) for name in SHIPPED]
    fitting = [prior for prior in shipped if not _unlike(prior.model, config)]
    if fitting:
        return fitting[0]
    if config.taught:
        why = min((_unlike(prior.model, config) for prior in shipped), key=len)
        raise UsageError(
            f"no model that ships fits this run (of the closest, {'; '.join(why)}); leave the setting "
            "as it is, give --prior MODEL, or take --preset small"
        )
    return None


def _unlike(model: Model, config: TrainingConfig) -> list[str]:
    """Return in words how a model differs from the networks of a run."""
    info = model.info
    return [
        f"{name} is {own}, but {wanted} in this run"
        for name, own, wanted in (
            ("its input", info.input, config.input),
            ("its resolution", info.mpp, config.mpp),
            ("its width", model.width, config.width),
            ("its number of channels", info.classes, config.classes),
            ("its polarity", "inverted" if info.inverted else "plain", "plain"),
        )
        if own != wanted
    ]
