"""One training step of the preset `paper` against the straightforward one.

    python benchmarks/training_step.py [OUT.json]

Straightforward: colours before pixels in memory (NCHW) and one slice for each patch. Both run on one
thread and are measured in processor seconds, forward and backward, the best of several after one to warm up.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from wsiseg.network.fcnn import FCNN, normalise
from wsiseg.training import step
from wsiseg.training.config import preset
from wsiseg.training.gather import Places, gather_patches
from wsiseg.training.state import channels_last

STEPS = 4


def sliced_patches(images: Tensor, confidence: Tensor, where: Places, patch_px: int) -> Tensor:
    product = images[:, None] * confidence[:, :, None]
    corners = zip(*(axis.tolist() for axis in where[:4]), strict=True)
    return torch.stack([product[i, k, :, r : r + patch_px, c : c + patch_px] for i, k, r, c in corners])


def measure(gather: Callable[..., Tensor], fast_layout: bool, steps: int) -> tuple[float, Tensor]:
    torch.manual_seed(0)
    images, network, config = normalise(torch.rand(10, 3, 300, 300)), FCNN().train(), preset("paper")
    if fast_layout:
        images, network = images.contiguous(memory_format=torch.channels_last), channels_last(network)
    step.gather_patches = gather
    seconds = []
    for _ in range(steps + 1):
        network.zero_grad(set_to_none=True)
        started = time.process_time()
        done = step.step_loss(network, images, config, torch.Generator().manual_seed(1))
        assert done.loss is not None
        done.loss.backward()
        seconds.append(time.process_time() - started)
    return min(seconds[1:]), torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def main() -> None:
    torch.set_num_threads(1)
    plain_s, plain = measure(sliced_patches, False, 1)
    layout_s, _ = measure(gather_patches, False, STEPS)
    ours_s, ours = measure(gather_patches, True, STEPS)
    found = {
        "straightforward_s": plain_s,
        "one_index_operation_s": layout_s,
        "wsiseg_s": ours_s,
        "ratio": plain_s / ours_s,
        "largest_gradient_difference": float((plain - ours).abs().max()),
        "largest_gradient": float(plain.abs().max()),
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
    }
    for name, value in found.items():
        print(f"{name:28} {value:.4g}" if isinstance(value, float) else f"{name:28} {value}")
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
