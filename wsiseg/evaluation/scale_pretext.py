"""Scale Pretext (Sahasrabudhe et al., MICCAI 2020): nuclei as that which tells the magnification of a patch.

An attention network marks a small share of the pixels of a patch; a ResNet-34 guesses from these pixels alone
at which magnification the patch was taken. Sparsity is built in: the map's own quantile is its threshold.
Written from the paper; the settings are those of the authors' configuration.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, mse_loss

Rgb = npt.NDArray[np.uint8]

WIDTH = 64
DILATIONS = (1, 2, 3, 5, 10, 20)
# ResNet-34: blocks and channels of its four stages.
STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))
# Mean and standard deviation by which the authors scale colours (ImageNet's).
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


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


def to_pretext_input(rgb: Tensor) -> Tensor:
    """Scale colours in [0, 1] as the network expects them, (N, 3, H, W)."""
    mean, spread = (rgb.new_tensor(values)[:, None, None] for values in (MEAN, SPREAD))
    return (rgb - mean) / spread


def draw_patches(
    images: Sequence[Rgb], config: ScalePretextConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw patches at random places and magnifications: float (N, 3, S, S) in [0, 1], int64 (N,)."""
    import cv2

    which = torch.randint(len(images), (config.batch_size,), generator=generator).tolist()
    scales = torch.randint(len(config.factors), (config.batch_size,), generator=generator)
    patches = []
    for i, scale in zip(which, scales.tolist(), strict=True):
        side = config.patch_px * config.factors[scale]
        height, width = images[i].shape[:2]
        if side > min(height, width):
            raise ValueError(
                f"an image of {width} x {height} px has no patch of {side} px; leave out the magnification"
            )
        row = int(torch.randint(height - side + 1, (1,), generator=generator))
        col = int(torch.randint(width - side + 1, (1,), generator=generator))
        patch = images[i][row : row + side, col : col + side]
        size = (config.patch_px, config.patch_px)
        patches.append(cv2.resize(patch, size, interpolation=cv2.INTER_AREA))
    return torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2).float() / 255, scales


def train_scale_pretext(
    images: Sequence[Rgb],
    config: ScalePretextConfig,
    *,
    device: str = "cpu",
    after_step: Callable[[int, float], bool] = lambda step, loss: True,
) -> ScalePretext:
    """Train on images at 40x (0.25 um per pixel), without labels.

    Parameters
    ----------
    images : sequence of uint8 (H, W, 3)
        At least `patch_px` times the largest factor on each side.
    config : ScalePretextConfig
    device : str
        A torch device.
    after_step : callable
        Is told the number of steps done and the loss; training ends early where it returns False.

    Returns
    -------
    ScalePretext
        In evaluation mode, on the CPU.
    """
    generator = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = ScalePretext(config).to(device).train()
    optimiser = torch.optim.Adam(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    for step in range(1, config.steps + 1):
        patches, scales = draw_patches(images, config, generator)
        loss = pretext_loss(
            network, to_pretext_input(patches).to(device), scales.to(device), config, generator
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if not after_step(step, loss.item()):
            break
    return network.cpu().eval()


def attention_of(network: ScalePretext, rgb: Rgb) -> npt.NDArray[np.float32]:
    """Return the attention of a whole image as confidence, uint8 (H, W, 3) -> float32 (H, W) in [0, 1]."""
    device = next(network.parameters()).device
    x = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        attention: npt.NDArray[np.float32] = (
            network.attend(to_pretext_input(x).to(device))[0, 0].cpu().numpy()
        )
    return attention
