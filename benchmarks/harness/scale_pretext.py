"""Scale Pretext (Sahasrabudhe et al., MICCAI 2020): nuclei as that which tells the magnification of a patch.

An attention network marks a small share of the pixels of a patch; a ResNet-34 guesses from these pixels alone
at which magnification the patch was taken. Sparsity is built in: the map's own quantile is its threshold.
Written from the paper; the settings are those of the authors' configuration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, mse_loss

WIDTH = 64
DILATIONS = (1, 2, 3, 5, 10, 20)
# ResNet-34: blocks and channels of its four stages.
STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))


@dataclass(frozen=True)
class ScalePretextConfig:
    """How Scale Pretext is trained.

    Parameters
    ----------
    factors : tuple of int
        Magnifications to tell apart, as pixels of the image per pixel of a patch (40x, 20x and 10x).
    patch_px, batch_size, steps : int
        Side of a patch; patches a step; steps.
    sparsity : float
        Share of the pixels that attention keeps.
    sharpness : float
        Steepness of the sigmoid of the attention.
    learning_rate, weight_decay : float
        Of Adam.
    smoothness, equivariance, scale_equivariance : float
        Weights of the terms beside the cross-entropy.
    seed : int
        Draws weights, patches and transforms.
    """

    factors: tuple[int, ...] = (1, 2, 4)
    patch_px: int = 160
    batch_size: int = 32
    steps: int = 20_000
    sparsity: float = 0.07
    sharpness: float = 20.0
    learning_rate: float = 2e-4
    weight_decay: float = 1e-4
    smoothness: float = 1.0
    equivariance: float = 1.0
    scale_equivariance: float = 1.0
    seed: int = 0


class _Residual(nn.Module):
    """Two 3x3 convolutions with batch norm, added to the (projected) input, then a rectifier."""

    def __init__(self, channels_in: int, channels: int, stride: int, dilation: int, slope: float) -> None:
        super().__init__()

        def convolution(inputs: int, stride: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, channels, 3, stride, padding=dilation, dilation=dilation, bias=False)

        self.body = nn.Sequential(
            convolution(channels_in, stride),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            convolution(channels, 1),
            nn.BatchNorm2d(channels),
        )
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.skip = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )
        self.rectifier = nn.LeakyReLU(slope, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels, H / stride, W / stride)."""
        return self.rectifier(self.skip(x) + self.body(x))  # type: ignore[no-any-return]


def attention_network() -> nn.Sequential:
    """Return the network of the attention map before its threshold: (N, 3, H, W) -> (N, 1, H, W)."""
    stem = [nn.Conv2d(3, WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU(inplace=True)]
    blocks = [_Residual(WIDTH, WIDTH, 1, dilation, 0.01) for dilation in DILATIONS]
    return nn.Sequential(*stem, *blocks, nn.Conv2d(WIDTH, 1, 1))


def resnet34(classes: int) -> nn.Sequential:
    """Return a ResNet-34 (He et al., 2016): (N, 3, H, W) -> (N, classes)."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, padding=3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, padding=1),
    ]
    inputs = 64
    for stage, (blocks, channels) in enumerate(STAGES):
        for block in range(blocks):
            layers.append(_Residual(inputs, channels, 2 if stage and not block else 1, 1, 0.0))
            inputs = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


class ScalePretext(nn.Module):
    """Attention and scale classifier; 21.7 million parameters.

    Parameters
    ----------
    config : ScalePretextConfig
    """

    threshold: Tensor

    def __init__(self, config: ScalePretextConfig) -> None:
        super().__init__()
        self.sparsity, self.sharpness = config.sparsity, config.sharpness
        self.attention = attention_network()
        self.classifier = resnet34(len(config.factors))
        # The quantile of the batches so far, which is the threshold of whole images later.
        self.register_buffer("threshold", torch.full((), math.nan))

    def attend(self, x: Tensor) -> Tensor:
        """Return the attention in [0, 1], (N, 1, H, W): in training above the batch's own quantile."""
        raw = self.attention(x)
        if self.training:
            with torch.no_grad():
                ranked = raw.flatten(1).sort(dim=1, descending=True).values
                level = ranked[:, int(self.sparsity * ranked.shape[1])].mean()
                old = torch.where(self.threshold.isnan(), level, self.threshold)
                self.threshold.copy_(0.9 * old + 0.1 * level)
        else:
            level = self.threshold
        return torch.sigmoid(self.sharpness * (raw - level))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the attention (N, 1, H, W) and the logits of the magnifications (N, classes)."""
        attention = self.attend(x)
        return attention, self.classifier(x * attention)


def smoothness(attention: Tensor) -> Tensor:
    """Return the mean absolute difference of neighbouring pixels, down and across."""
    down = (attention[..., 1:, :] - attention[..., :-1, :]).abs().mean()
    across = (attention[..., 1:] - attention[..., :-1]).abs().mean()
    return down + across


def turned(x: Tensor, which: int) -> Tensor:
    """Return one of the eight flips and quarter turns of (N, C, S, S)."""
    x = x.rot90(which % 4, (-2, -1))
    return x.flip(-1) if which >= 4 else x


def pretext_loss(
    network: ScalePretext,
    images: Tensor,
    scales: Tensor,
    config: ScalePretextConfig,
    generator: torch.Generator,
) -> Tensor:
    """Return the loss of one batch: cross-entropy of the scale, smoothness and two terms of equivariance.

    Parameters
    ----------
    network : ScalePretext
        In training mode.
    images : Tensor
        Scaled colours, (N, 3, S, S).
    scales : Tensor
        Index of each patch's magnification, int64 (N,).
    config : ScalePretextConfig
    generator : torch.Generator
        Draws the transform, on the CPU.
    """
    attention, logits = network(images)
    which = int(torch.randint(1, 8, (1,), generator=generator))
    loss = cross_entropy(logits, scales) + config.smoothness * smoothness(attention)
    moved = network.attend(turned(images, which))
    loss = loss + config.equivariance * mse_loss(moved, turned(attention, which))
    smaller = interpolate(images, scale_factor=0.5, mode="bilinear", antialias=True)
    expected = interpolate(attention, scale_factor=0.5, mode="bilinear", antialias=True)
    return loss + config.scale_equivariance * mse_loss(network.attend(smaller), expected)
