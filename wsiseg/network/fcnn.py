"""The fully convolutional confidence network of Boserup & Selvan (2023): image -> K maps in [0, 1]."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from wsiseg.network.architecture import EPSILON, WIDTH, Layer, layers, through
from wsiseg.network.norm_elu import can_fuse, norm_elu


class ConvBlock(nn.Sequential):
    """A layer with batch norm and ELU."""

    def __init__(self, layer: Layer) -> None:
        super().__init__(
            _convolution(layer), nn.BatchNorm2d(layer.channels_out, EPSILON), nn.ELU(inplace=True)
        )

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """Return the layer's output, (N, C, H, W), to which `plus` is added."""
        convolution, norm, activation = self
        assert isinstance(norm, nn.BatchNorm2d)
        x = convolution(x)
        if can_fuse(x, norm):
            return norm_elu(x, norm, plus)
        activated: Tensor = activation(norm(x))
        return activated if plus is None else plus + activated


class FCNN(nn.Module):
    """Confidence network: 3 -> K channels, "same" zero padding, stride 1; 7,372 parameters by default.

    Parameters
    ----------
    classes : int
        K, the number of confidence maps.
    width : int
        Channels of every layer between image and maps.
    """

    def __init__(self, classes: int = 4, width: int = WIDTH) -> None:
        super().__init__()
        self.classes = classes
        self.width = width
        self._layers = layers(classes, width)
        for layer in self._layers:
            _add(self, layer.name, ConvBlock(layer) if layer.norm else _convolution(layer))

    def logits(self, x: Tensor) -> Tensor:
        """Return the maps before the sigmoid: (N, 3, H, W) -> (N, K, H, W)."""
        return through(self._layers, x, self._apply_layer)

    def forward(self, x: Tensor) -> Tensor:
        """Return the confidences in [0, 1]: (N, 3, H, W) normalised -> (N, K, H, W)."""
        return torch.sigmoid(self.logits(x))

    def _apply_layer(self, layer: Layer, x: Tensor, plus: Tensor | None) -> Tensor:
        module = self.get_submodule(layer.name)
        if isinstance(module, ConvBlock):
            return module.forward(x, plus)
        assert isinstance(module, nn.Conv2d)
        # A matrix product: on a CPU its gradient takes a third of the time of torch's 1x1 convolution.
        return linear(x.permute(0, 2, 3, 1), module.weight.flatten(1), module.bias).permute(0, 3, 1, 2)


def _convolution(layer: Layer) -> nn.Conv2d:
    return nn.Conv2d(
        layer.channels_in,
        layer.channels_out,
        layer.kernel_px,
        padding=layer.padding,
        dilation=layer.dilation,
        bias=not layer.norm,
    )


def _add(parent: nn.Module, name: str, module: nn.Module) -> None:
    """Add a module under its dotted name."""
    first, _, rest = name.partition(".")
    if not rest:
        parent.add_module(first, module)
        return
    if not hasattr(parent, first):
        parent.add_module(first, nn.Module())
    _add(parent.get_submodule(first), rest, module)


def normalise(x: Tensor) -> Tensor:
    """Map colours in [0, 1] to [0.05, 1], so that a masked pixel (0) is not a black one (authors' code)."""
    return 0.95 * x + 0.05


def to_input(rgb: npt.NDArray[np.uint8]) -> Tensor:
    """Return what the network sees of uint8 pixels: (H, W, 3) or (N, H, W, 3) -> float32 (N, 3, H, W)."""
    batch = torch.from_numpy(np.ascontiguousarray(rgb)).reshape(-1, *rgb.shape[-3:])
    return normalise(batch.permute(0, 3, 1, 2).float() / 255)
