"""Settings that a model brings along."""

from __future__ import annotations

from dataclasses import replace

from wsiseg.config import PAPER_CLEAN_UP_UM, PredictConfig
from wsiseg.network.model import ModelInfo


def with_clean_up(config: PredictConfig, info: ModelInfo) -> PredictConfig:
    """Return the settings, with the paper's clean-up alone for its models unless one was asked for."""
    objects = config.objects
    if info.preset != "paper" or objects.opening_um or objects.closing_um:
        return config
    cleaned = replace(objects, opening_um=PAPER_CLEAN_UP_UM, closing_um=PAPER_CLEAN_UP_UM, certainty=0.0)
    return replace(config, objects=cleaned)
