"""Several networks of one architecture as one: their channels are the groups of its convolutions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, elu

from wsiseg.network.architecture import EPSILON, Layer, layers, through
from wsiseg.network.fcnn import FCNN

# The momentum of torch's BatchNorm2d.
MOMENTUM = 0.1


class StackedFCNN(nn.Module):
    """R confidence networks computed as one, which fills a GPU that one of them cannot.

    Parameters
    ----------
    networks : sequence of FCNN
        R networks of one number of classes, on one device; their weights are copied.

    Attributes
    ----------
    rows : nn.Parameter
        (R, P): a row for each network, its parameters one after another.
    running : Tensor
        (R, B): the running means and variances of its batch norms likewise.
    """

    running: Tensor

    def __init__(self, networks: Sequence[FCNN]) -> None:
        super().__init__()
        first = networks[0]
        self.count, self.classes, self._width = len(networks), first.classes, first.width
        self._shapes = {name: value.shape for name, value in first.named_parameters()}
        self._running = {name: value.shape for name, value in statistics(first)}
        self.rows = nn.Parameter(torch.stack([row_of(n.named_parameters()) for n in networks]))
        self.register_buffer("running", torch.stack([row_of(statistics(n)) for n in networks]))

    def logits(self, x: Tensor) -> Tensor:
        """Return the maps of every network before the sigmoid: (R, N, 3, H, W) -> (R, N, K, H, W)."""
        self._weights_now = self._pieces(self.rows, self._shapes)
        self._running_now = self._pieces(self.running, self._running)
        # Channels of one network lie together: (N, R x 3, H, W).
        out = through(layers(self.classes, self._width), x.transpose(0, 1).flatten(1, 2), self._apply_layer)
        return out.reshape(len(out), self.count, self.classes, *out.shape[2:]).transpose(0, 1)

    def logits_of_same(self, x: Tensor) -> Tensor:
        """Return the maps that every network has of the same images: (N, 3, H, W) -> (R, N, K, H, W)."""
        return self.logits(x.expand(self.count, *x.shape))

    def _apply_layer(self, layer: Layer, x: Tensor, plus: Tensor | None) -> Tensor:
        if not layer.norm:
            return self._convolved(x, layer, layer.name)
        norm = f"{layer.name}.1"
        rows = [self._running_now[f"{norm}.running_{which}"] for which in ("mean", "var")]
        mean, variance = (row.flatten().clone() for row in rows)
        weight, bias = (self._weights_now[f"{norm}.{which}"].flatten() for which in ("weight", "bias"))
        x = self._convolved(x, layer, f"{layer.name}.0")
        x = batch_norm(x, mean, variance, weight, bias, self.training, MOMENTUM, EPSILON)
        if self.training:
            for row, moved in zip(rows, (mean, variance), strict=True):
                row.copy_(moved.view(self.count, -1))
        x = elu(x, inplace=True)
        return x if plus is None else plus + x

    def _convolved(self, x: Tensor, layer: Layer, name: str) -> Tensor:
        weight, bias = self._weights_now[f"{name}.weight"], self._weights_now.get(f"{name}.bias")
        return conv2d(
            # The gradient takes a third less time than with planes.
            x.contiguous(memory_format=torch.channels_last),
            weight.flatten(0, 1),
            None if bias is None else bias.flatten(),
            padding=layer.padding,
            dilation=layer.dilation,
            groups=self.count,
        )

    def _pieces(self, rows: Tensor, shapes: dict[str, torch.Size]) -> dict[str, Tensor]:
        """Return (R, *shape) of each name."""
        pieces = torch.split(rows, [shape.numel() for shape in shapes.values()], dim=1)
        return {
            name: piece.reshape(self.count, *shape)
            for (name, shape), piece in zip(shapes.items(), pieces, strict=True)
        }


def statistics(network: FCNN) -> Iterator[tuple[str, Tensor]]:
    """Yield the running means and variances of a network's batch norms."""
    return ((name, value) for name, value in network.named_buffers() if value.is_floating_point())


def row_of(named: Iterable[tuple[str, Tensor]]) -> Tensor:
    """Return all values as one row."""
    return torch.cat([value.detach().flatten() for _, value in named])


@torch.no_grad()
def read_row(row: Tensor, named: Iterable[tuple[str, Tensor]]) -> None:
    """Copy a row of values back to where `row_of` took them from."""
    start = 0
    for _, value in named:
        value.copy_(row[start : start + value.numel()].view(value.shape))
        start += value.numel()
