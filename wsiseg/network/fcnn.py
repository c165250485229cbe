"""The fully convolutional confidence network of Boserup & Selvan (2023): image -> K maps in [0, 1]."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from wsiseg.network.architecture import DILATIONS, WIDTH
from wsiseg.network.norm_elu import can_fuse, norm_elu


class ConvBlock(nn.Sequential):
    """Convolution 3x3 without bias, batch norm, ELU; the output has the size of the input."""

    def __init__(self, channels_in: int, channels_out: int, dilation: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ELU(inplace=True),
        )

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """Return a tensor of the size of `x`, (N, C, H, W), to which `plus` is added."""
        convolution, norm, activation = self
        assert isinstance(norm, nn.BatchNorm2d)
        x = convolution(x)
        if can_fuse(x, norm):
            return norm_elu(x, norm, plus)
        activated: Tensor = activation(norm(x))
        return activated if plus is None else plus + activated


class ResidualBlock(nn.Module):
    """x + two convolution blocks of one dilation applied to x."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvBlock(channels, channels, dilation), ConvBlock(channels, channels, dilation)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of `x`, (N, C, H, W)."""
        first, second = self.body
        out: Tensor = second(first(x), x)
        return out


class FCNN(nn.Module):
    """Confidence network: 3 -> K channels, "same" zero padding, stride 1, 7,372 parameters for K = 4.

    Parameters
    ----------
    classes : int
        K, the number of confidence maps.
    """

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.classes = classes
        self.stem = ConvBlock(3, WIDTH, 1)
        self.blocks = nn.Sequential(*(ResidualBlock(WIDTH, dilation) for dilation in DILATIONS))
        self.head = nn.Conv2d(WIDTH, classes, 1)

    def logits(self, x: Tensor) -> Tensor:
        """Return the maps before the sigmoid: (N, 3, H, W) -> (N, K, H, W)."""
        features = self.blocks(self.stem(x))
        # A matrix product: on a CPU its way back takes a third of that of torch's 1x1 convolution.
        weight = self.head.weight.flatten(1)
        return linear(features.permute(0, 2, 3, 1), weight, self.head.bias).permute(0, 3, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the confidences in [0, 1]: (N, 3, H, W) normalised -> (N, K, H, W)."""
        return torch.sigmoid(self.logits(x))


def normalise(x: Tensor) -> Tensor:
    """Map colours in [0, 1] to [0.05, 1], so that a masked pixel (0) is not a black one (authors' code)."""
    return 0.95 * x + 0.05


def to_input(rgb: npt.NDArray[np.uint8]) -> Tensor:
    """Return what the network sees of uint8 pixels: (H, W, 3) or (N, H, W, 3) -> float32 (N, 3, H, W)."""
    batch = torch.from_numpy(np.ascontiguousarray(rgb)).reshape(-1, *rgb.shape[-3:])
    return normalise(batch.permute(0, 3, 1, 2).float() / 255)
