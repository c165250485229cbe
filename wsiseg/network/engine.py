"""Backends that run the network: pixels of one window in, confidence of that window out.

`Engine.confidence` is what `predict` calls, in its own threads and in Dask workers.
"""

from __future__ import annotations

import queue
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wsiseg.network.appearance import network_input
from wsiseg.network.architecture import through
from wsiseg.network.device import resolve_device
from wsiseg.network.fold import Array, Convolution, FoldedNetwork, fold
from wsiseg.network.fused import FusedNetwork, kernel_name
from wsiseg.network.model import Model

if TYPE_CHECKING:
    import torch

Pixels = npt.NDArray[np.uint8]
Confidence = npt.NDArray[np.float32]


class Engine(ABC):
    """A network ready to run; safe to call from several threads at once."""

    name: str

    @abstractmethod
    def confidence(
        self, rgb: Pixels, table: Confidence, inner: tuple[slice, slice] | None = None
    ) -> Confidence:
        """Return the confidence of a nucleus for the pixels of a window.

        Parameters
        ----------
        rgb : ndarray of uint8, (H, W, 3)
            Pixels.
        table : ndarray of float32, (3, 256, 3)
            What the network sees of a pixel: a lookup table of each colour's 256 values.
        inner : pair of slices, optional
            Rows and columns that are wanted, with their bounds; all if left out.

        Returns
        -------
        ndarray of float32, (h, w), in [0, 1]
        """


def make_engine(model: Model, device: str = "auto") -> Engine:
    """Return the fastest engine of a device.

    Parameters
    ----------
    model : Model
        The model.
    device : {"auto", "cpu", "cuda", "cuda:N", "mps"}
        `auto` takes CUDA, then MPS, then the CPU.

    Raises
    ------
    UsageError
        If the device is unknown or does not exist here.
    """
    device = resolve_device(device)
    network = fold(model)
    return FusedEngine(network) if device == "cpu" else TorchEngine(network, device)


class FusedEngine(Engine):
    """The CPU backend; the thread that asks for a window computes it."""

    def __init__(self, network: FoldedNetwork) -> None:
        self.name = kernel_name()
        self._network = FusedNetwork(network)

    def confidence(
        self, rgb: Pixels, table: Confidence, inner: tuple[slice, slice] | None = None
    ) -> Confidence:
        """Return the confidence of a nucleus for each wanted pixel."""
        return self._network.run(rgb, table, inner)


class TorchEngine(Engine):
    """The backend of GPUs."""

    def __init__(self, network: FoldedNetwork, device: str = "cpu") -> None:
        import torch

        self.name = f"torch {torch.__version__.split('+')[0]} on {device}"
        self._device = torch.device(device)
        self._dtype = torch.float16 if self._device.type == "cuda" else torch.float32
        self._network = [self._load(layer) for layer in network]
        self._lanes: queue.SimpleQueue[_Lane] = queue.SimpleQueue()

    def _load(self, layer: Convolution[Array]) -> Convolution[torch.Tensor]:
        import torch

        weight = torch.from_numpy(layer.weight).to(self._device, self._dtype)
        bias = torch.from_numpy(layer.bias).to(self._device, self._dtype)
        weight = weight.contiguous(memory_format=torch.channels_last)
        return Convolution(weight, bias, layer.padding, layer.dilation, layer.activated, layer.residual)

    def confidence(
        self, rgb: Pixels, table: Confidence, inner: tuple[slice, slice] | None = None
    ) -> Confidence:
        """Return the confidence of a nucleus for each wanted pixel."""
        import torch

        wanted = inner or (slice(None), slice(None))
        with torch.inference_mode():
            if self._device.type != "cuda":
                planes = torch.from_numpy(network_input(rgb, table))[None].to(self._device)
                return self._run(planes)[wanted].cpu().numpy()
            with self._lane() as lane, torch.cuda.stream(lane.stream):
                planes = looked_up(lane.sent(rgb), torch.from_numpy(table).to(self._device))
                return lane.fetched(self._run(planes)[wanted])

    def _run(self, planes: torch.Tensor) -> torch.Tensor:
        """Return the confidence (H, W) for an input (1, 3, H, W)."""
        import torch
        from torch.nn import functional

        def apply(
            layer: Convolution[torch.Tensor], x: torch.Tensor, plus: torch.Tensor | None
        ) -> torch.Tensor:
            y = functional.conv2d(x, layer.weight, layer.bias, padding=layer.padding, dilation=layer.dilation)
            if layer.activated:
                y = functional.elu_(y)
            return y if plus is None else plus + y

        planes = planes.to(self._dtype).contiguous(memory_format=torch.channels_last)
        logits = through(self._network, planes, apply)
        return torch.sigmoid(logits[0, 0].float())

    @contextmanager
    def _lane(self) -> Iterator[_Lane]:
        """Give a lane that no other thread is using; there will be as many lanes as threads."""
        try:
            lane = self._lanes.get_nowait()
        except queue.Empty:
            lane = _Lane(self._device)
        try:
            yield lane
        finally:
            self._lanes.put(lane)


class _Lane:
    """A CUDA stream with page-locked memory: one window is copied while others are computed."""

    def __init__(self, device: torch.device) -> None:
        import torch

        self.device, self.stream = device, torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pixels = torch.empty(0, dtype=torch.uint8)
        self._confidence = torch.empty(0, dtype=torch.float32)

    def sent(self, rgb: Pixels) -> torch.Tensor:
        """Return pixels on the device, uint8 (H, W, 3); a quarter of the bytes of what the network sees."""
        import torch

        if self._pixels.numel() < rgb.size:
            self._pixels = torch.empty(rgb.size, dtype=torch.uint8, pin_memory=True)
        held = self._pixels[: rgb.size].view(rgb.shape)
        held.numpy()[:] = rgb
        return held.to(self.device, non_blocking=True)

    def fetched(self, confidence: torch.Tensor) -> Confidence:
        """Return a map of the device as an array, once the stream has finished."""
        import torch

        if self._confidence.numel() < confidence.numel():
            self._confidence = torch.empty(confidence.numel(), dtype=torch.float32, pin_memory=True)
        held = self._confidence[: confidence.numel()].view(confidence.shape)
        held.copy_(confidence, non_blocking=True)
        self.stream.synchronize()
        return held.numpy().copy()


def looked_up(rgb: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Return what the network sees, on the pixels' device, as `network_input` does on the CPU.

    Parameters
    ----------
    rgb : Tensor of uint8, (H, W, 3)
        Pixels of a window.
    table : Tensor of float32, (3, 256, 3)
        What the network sees of each value of red, green and blue.

    Returns
    -------
    Tensor of float32, (1, 3, H, W)
    """
    from wsiseg.network.fcnn import normalise

    red, green, blue = (table[colour][rgb[..., colour].int()] for colour in range(3))
    planes = normalise((red + green + blue).clamp(0, 1))
    return planes.permute(2, 0, 1)[None]
