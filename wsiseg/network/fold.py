"""The network as plain convolutions for inference: batch norm folded in, one channel, polarity applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from wsiseg.network.architecture import EPSILON, Layer, layers
from wsiseg.network.model import Model

Array = npt.NDArray[np.float32]
Values = TypeVar("Values")


@dataclass(frozen=True)
class Convolution(Generic[Values]):
    """A layer with its weights.

    Parameters
    ----------
    weight : array or tensor, (out, in, k, k)
        The kernels.
    bias : array or tensor, (out,)
        Added to each output.
    padding, dilation : int
        In pixels.
    activated : bool
        Whether ELU follows.
    residual : bool
        Whether the input of the layer before is added to the output.
    """

    weight: Values
    bias: Values
    padding: int
    dilation: int
    activated: bool
    residual: bool


# Stem, pairs of a residual block, and a head of one channel whose sigmoid is the confidence of a nucleus.
FoldedNetwork = tuple[Convolution[Array], ...]


def fold(model: Model) -> FoldedNetwork:
    """Return the model's chosen channel as plain convolutions (folded in float64, kept in float32)."""
    return tuple(_folded(model, layer) for layer in layers(model.info.classes, model.width))


def _folded(model: Model, layer: Layer) -> Convolution[Array]:
    def value(name: str) -> npt.NDArray[np.float64]:
        return model.weights[f"{layer.name}.{name}"].astype(np.float64)

    if layer.norm:
        scale = value("1.weight") / np.sqrt(value("1.running_var") + EPSILON)
        bias = value("1.bias") - value("1.running_mean") * scale
        weight = value("0.weight") * scale[:, None, None, None]
    else:
        sign = -1.0 if model.info.inverted else 1.0
        pick = slice(model.info.channel, model.info.channel + 1)
        weight, bias = sign * value("weight")[pick], sign * value("bias")[pick]
    return Convolution(
        weight.astype(np.float32),
        bias.astype(np.float32),
        layer.padding,
        layer.dilation,
        activated=layer.norm,
        residual=layer.residual,
    )
