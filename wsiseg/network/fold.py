"""The network as plain convolutions for inference: batch norm folded in, one channel, polarity applied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsiseg.network.architecture import DILATIONS
from wsiseg.network.model import Model

Array = npt.NDArray[np.float32]
# Of torch's BatchNorm2d, which trained the network.
EPSILON = 1e-5


@dataclass(frozen=True)
class Convolution:
    """Weights of one convolution: `weight` (out, in, k, k), `bias` (out,), padding = dilation x (k // 2)."""

    weight: Array
    bias: Array
    dilation: int


@dataclass(frozen=True)
class FoldedNetwork:
    """Stem, residual pairs and a head of one output channel whose sigmoid is the confidence of a nucleus."""

    stem: Convolution
    blocks: tuple[tuple[Convolution, Convolution], ...]
    head: Convolution


def fold(model: Model) -> FoldedNetwork:
    """Return the model's chosen channel as plain convolutions (folded in float64, kept in float32)."""
    sign = -1.0 if model.info.inverted else 1.0
    pick = slice(model.info.channel, model.info.channel + 1)
    head = Convolution(
        weight=(sign * model.weights["head.weight"][pick]).astype(np.float32),
        bias=(sign * model.weights["head.bias"][pick]).astype(np.float32),
        dilation=1,
    )
    blocks = tuple(
        (_folded(model, f"blocks.{i}.body.0", dilation), _folded(model, f"blocks.{i}.body.1", dilation))
        for i, dilation in enumerate(DILATIONS)
    )
    return FoldedNetwork(_folded(model, "stem", 1), blocks, head)


def _folded(model: Model, block: str, dilation: int) -> Convolution:
    def value(name: str) -> npt.NDArray[np.float64]:
        return model.weights[f"{block}.{name}"].astype(np.float64)

    scale = value("1.weight") / np.sqrt(value("1.running_var") + EPSILON)
    bias = value("1.bias") - value("1.running_mean") * scale
    weight = value("0.weight") * scale[:, None, None, None]
    return Convolution(weight.astype(np.float32), bias.astype(np.float32), dilation)
