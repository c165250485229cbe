"""One training step of the preset `paper` against the straightforward one.

    python benchmarks/training_step.py [--side 300] [--json FILE]

Straightforward: colours before pixels in memory (NCHW) and one slice for each patch. Both run on one
thread and are measured in processor seconds, forward and backward, the best of several after one to warm up.
The gradients of both are held against that of the same step, on the same patches, in 64 bits. Our step is
timed on one thread and on all cores as well.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from harness.machine import machine
from torch import Tensor

from wsiseg.machine.cores import available_cores
from wsiseg.network.fcnn import FCNN, normalise
from wsiseg.training import step
from wsiseg.training.paper import contrast
from wsiseg.training.paper.gather import Places, gather_patches
from wsiseg.training.paper.sampler import patch_statistics
from wsiseg.training.presets import preset
from wsiseg.training.state import channels_last

STEPS = 4


def sliced_patches(images: Tensor, confidence: Tensor, where: Places, patch_px: int) -> Tensor:
    product = images[:, None] * confidence[:, :, None]
    corners = zip(*(axis.tolist() for axis in where[:4]), strict=True)
    return torch.stack([product[i, k, :, r : r + patch_px, c : c + patch_px] for i, k, r, c in corners])


class Draws:
    """Statistics of patches, kept, so that rounding cannot change which ones a step draws."""

    def __init__(self) -> None:
        self._kept: tuple[Tensor, Tensor] | None = None

    def statistics(self, *arguments: Any) -> tuple[Tensor, Tensor]:
        """Stand in for `patch_statistics`."""
        if self._kept is None:
            self._kept = patch_statistics(*arguments)
        return self._kept


def measure(
    gather: Callable[..., Tensor],
    fast_layout: bool,
    steps: int,
    draws: Draws,
    side_px: int,
    dtype: torch.dtype = torch.float32,
) -> tuple[float, Tensor]:
    """Return processor seconds of a step, and its gradient."""
    torch.manual_seed(0)
    images, network = normalise(torch.rand(10, 3, side_px, side_px)).to(dtype), FCNN().train().to(dtype)
    if fast_layout:
        images, network = images.contiguous(memory_format=torch.channels_last), channels_last(network)
    contrast.gather_patches, contrast.patch_statistics = gather, draws.statistics
    config, seconds = preset("paper"), []
    for _ in range(steps + 1):
        network.zero_grad(set_to_none=True)
        started = time.process_time()
        logits, generator = network.logits(images)[None], torch.Generator().manual_seed(1)
        (done,) = step.step_losses(logits, images[None], config, [generator])
        assert done.loss is not None
        done.loss.backward()
        seconds.append(time.process_time() - started)
    gradient = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    return min(seconds[1:], default=seconds[0]), gradient.double()


def wall(threads: int, draws: Draws, side_px: int) -> float:
    """Return seconds of a step on so many threads, the machine's other work included."""
    torch.set_num_threads(threads)
    measure(gather_patches, True, 0, draws, side_px)
    started = time.monotonic()
    measure(gather_patches, True, STEPS, draws, side_px)
    return (time.monotonic() - started) / (STEPS + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=300, help="pixels of a crop's side")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    side = options.side
    torch.set_num_threads(1)
    draws = Draws()
    ours_s, ours = measure(gather_patches, True, STEPS, draws, side)
    plain_s, plain = measure(sliced_patches, False, 1, draws, side)
    layout_s, _ = measure(gather_patches, False, STEPS, draws, side)
    threads_s = {f"wsiseg_wall_s_{n}_threads": wall(n, draws, side) for n in sorted({1, available_cores()})}
    torch.set_num_threads(1)
    _, exact = measure(gather_patches, True, 0, draws, side, torch.float64)
    largest = exact.abs().max()
    found = {
        "straightforward_s": plain_s,
        "one_index_operation_s": layout_s,
        "wsiseg_s": ours_s,
        "ratio": plain_s / ours_s,
        **threads_s,
        "largest_gradient": float(largest),
        "wsiseg_off_float64": float((ours - exact).abs().max()),
        "straightforward_off_float64": float((plain - exact).abs().max()),
        "wsiseg_off_relative": float((ours - exact).abs().max() / largest),
        "straightforward_off_relative": float((plain - exact).abs().max() / largest),
        "torch": torch.__version__,
        "machine": machine(),
    }
    for name, value in found.items():
        print(f"{name:28} {value:.4g}" if isinstance(value, float) else f"{name:28} {value}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
