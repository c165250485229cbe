"""The network as plain convolutions for inference: batch norm folded in, one channel, polarity applied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from wsiseg.network.fcnn import ConvBlock, ResidualBlock
from wsiseg.network.model import Model

Array = npt.NDArray[np.float32]


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
    network, info = model.network, model.info
    sign = -1.0 if info.inverted else 1.0
    pick = slice(info.channel, info.channel + 1)
    head = Convolution(
        weight=(sign * _numpy(network.head.weight)[pick]).astype(np.float32),
        bias=(sign * _numpy(network.head.bias)[pick]).astype(np.float32),
        dilation=1,
    )
    return FoldedNetwork(
        _fold_block(network.stem), tuple(_fold_pair(block) for block in network.blocks), head
    )


def _fold_pair(block: nn.Module) -> tuple[Convolution, Convolution]:
    assert isinstance(block, ResidualBlock)
    first, second = block.body
    return _fold_block(first), _fold_block(second)


def _fold_block(block: nn.Module) -> Convolution:
    assert isinstance(block, ConvBlock)
    conv, norm = block[0], block[1]
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    scale = _numpy(norm.weight) / np.sqrt(_numpy(norm.running_var) + norm.eps)
    bias = _numpy(norm.bias) - _numpy(norm.running_mean) * scale
    weight = _numpy(conv.weight) * scale[:, None, None, None]
    return Convolution(weight.astype(np.float32), bias.astype(np.float32), int(conv.dilation[0]))


def _numpy(tensor: object) -> npt.NDArray[np.float64]:
    array: npt.NDArray[np.float64] = tensor.detach().double().cpu().numpy()  # type: ignore[attr-defined]
    return array
