"""Training without labels: sampler, similarities, losses, trainer, repeats and the choice among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsiseg.training.config import TrainingConfig as TrainingConfig
    from wsiseg.training.run import fit as fit
    from wsiseg.training.run import reselect as reselect

__all__ = ["TrainingConfig", "fit", "reselect"]


def __getattr__(name: str) -> Any:
    if name == "TrainingConfig":
        from wsiseg.training.config import TrainingConfig

        return TrainingConfig
    if name in ("fit", "reselect"):
        from importlib import import_module

        return getattr(import_module("wsiseg.training.run"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
