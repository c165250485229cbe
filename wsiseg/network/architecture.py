"""The confidence network described once, as a table of layers, in plain numbers that need no torch.

Every form of it is built from this table: for training (`fcnn`), several networks as one (`stacked`), and
for inference (`fold` and the engines).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

DILATIONS = (1, 2, 3, 5, 10, 20)
WIDTH = 8
# Channels that a model file may have; the paper's network has WIDTH.
WIDTHS = (8, 16, 24, 32)
# Added to the variance by the batch norms.
EPSILON = 1e-5


@dataclass(frozen=True)
class Layer:
    """One convolution of stride 1, padded so that the output has the size of the input.

    Parameters
    ----------
    name : str
        Prefix of its tensors' names in a model file.
    channels_in, channels_out : int
        Maps before and after it.
    kernel_px : int
        Side of the kernel.
    dilation : int
        Distance between neighbouring taps of the kernel, in pixels.
    norm : bool
        Whether batch norm and ELU follow; otherwise the convolution has a bias.
    residual : bool
        Whether the input of the layer before is added to the output.
    """

    name: str
    channels_in: int
    channels_out: int
    kernel_px: int
    dilation: int = 1
    norm: bool = True
    residual: bool = False

    @property
    def padding(self) -> int:
        """Zeros added on each side, and how far the layer reaches."""
        return self.dilation * (self.kernel_px // 2)


def layers(classes: int, width: int = WIDTH) -> tuple[Layer, ...]:
    """Return the layers of a network with K = `classes` maps and `width` channels, from image to logits."""
    blocks = [
        Layer(f"blocks.{block}.body.{half}", width, width, 3, dilation, residual=half == 1)
        for block, dilation in enumerate(DILATIONS)
        for half in (0, 1)
    ]
    return (Layer("stem", 3, width, 3), *blocks, Layer("head", width, classes, 1, norm=False))


RADIUS_PX = sum(layer.padding for layer in layers(1))


class _Residual(Protocol):
    @property
    def residual(self) -> bool: ...


L = TypeVar("L", bound=_Residual)
T = TypeVar("T")


def through(network: Iterable[L], x: T, apply: Callable[[L, T, T | None], T]) -> T:
    """Pass `x` through the layers of a network.

    Parameters
    ----------
    network : iterable
        Its layers, in any form that says whether they are residual.
    x : array or tensor
        What the first layer takes.
    apply : callable
        (layer, x, plus) -> the layer's output for `x`, to which `plus` is added unless it is None.
    """
    before = x
    for layer in network:
        plus = before if layer.residual else None
        before, x = x, apply(layer, x, plus)
    return x


def weight_shapes(classes: int, width: int = WIDTH) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor of a network with K = `classes` maps and `width` channels."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in layers(classes, width):
        kernel = (layer.channels_out, layer.channels_in, layer.kernel_px, layer.kernel_px)
        if layer.norm:
            values = ("weight", "bias", "running_mean", "running_var")
            shapes[f"{layer.name}.0.weight"] = kernel
            shapes |= {f"{layer.name}.1.{value}": (layer.channels_out,) for value in values}
            shapes[f"{layer.name}.1.num_batches_tracked"] = ()
        else:
            shapes |= {f"{layer.name}.weight": kernel, f"{layer.name}.bias": (layer.channels_out,)}
    return shapes
