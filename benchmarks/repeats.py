"""Repeats of a training as one network of grouped convolutions, against one after another.

    python benchmarks/repeats.py [--repeats 2 10] [--images 10] [--side 300] [--rounds 3] [--json FILE]

Forward and backward of a step on soft targets, each repeat with crops of its own; on the GPU where there
is one, else on one thread in processor seconds. Stacked, R networks are one (`wsiseg.network.stacked`), as
`fit` trains them on a GPU; every repeat gets the gradients that it has alone, to rounding. On a CPU `fit`
trains them side by side, a thread each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from harness.machine import machine
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from wsiseg.network.fcnn import FCNN
from wsiseg.network.stacked import StackedFCNN, row_of


def step(network: FCNN | StackedFCNN, images: Tensor, target: Tensor) -> None:
    """Put the gradients of a sum over repeats into a network."""
    network.zero_grad(set_to_none=True)
    logits = network.logits(images)
    binary_cross_entropy_with_logits(logits, target, reduction="sum").mul(1e-5).backward()


def seconds(run: Callable[[], None], device: torch.device, rounds: int) -> float:
    """Return the median seconds of a run: processor seconds on a CPU."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    found = []
    for _ in range(rounds + 1):
        begun = clock()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(clock() - begun)
    return statistics.median(found[1:])


def measure(count: int, options: argparse.Namespace, device: torch.device) -> dict[str, float]:
    """Return seconds of a step of all repeats in each way, and how far their gradients are apart."""
    torch.manual_seed(0)
    networks = [FCNN().train().to(device) for _ in range(count)]
    shape = (options.images, 3, options.side, options.side)
    images = [torch.rand(shape, device=device) for _ in networks]
    targets = [torch.rand(options.images, networks[0].classes, *shape[2:], device=device) for _ in networks]
    whole, all_images, all_targets = StackedFCNN(networks).train(), torch.stack(images), torch.stack(targets)

    def in_turn() -> None:
        for network, its_images, its_target in zip(networks, images, targets, strict=True):
            step(network, its_images, its_target)

    def at_once() -> None:
        step(whole, all_images, all_targets)

    found = {"stacked": seconds(at_once, device, options.rounds)}
    for layout in (torch.contiguous_format, torch.channels_last):
        for network in networks:
            network.to(memory_format=layout)
        images = [its.contiguous(memory_format=layout) for its in images]
        name = str(layout).removeprefix("torch.")
        found[f"in turn, {name}"] = seconds(in_turn, device, options.rounds)
    alone = torch.stack(
        [row_of((name, p.grad) for name, p in n.named_parameters() if p.grad is not None) for n in networks]
    )
    assert whole.rows.grad is not None
    found["gradients apart"] = float((whole.rows.grad - alone).abs().max() / alone.abs().max())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, nargs="+", default=[2, 10])
    parser.add_argument("--images", type=int, default=10, help="crops of a batch")
    parser.add_argument("--side", type=int, default=300, help="pixels of a crop's side")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    where = torch.cuda.get_device_name() if device.type == "cuda" else machine()
    print(f"{where}, torch {torch.__version__}: {options.images} crops of {options.side} px a repeat")
    rows = {count: measure(count, options, device) for count in options.repeats}
    names = [name for name in next(iter(rows.values())) if name != "gradients apart"]
    print(f"| repeats | {' | '.join(names)} | in turn / stacked, the best of each | gradients apart |")
    print("|---" * (len(names) + 3) + "|")
    for count, row in rows.items():
        best = [min(row[name] for name in names if name.startswith(way)) for way in ("in turn", "stacked")]
        times = " | ".join(f"{row[name]:.3f} s" for name in names)
        print(f"| {count} | {times} | {best[0] / best[1]:.2f} | {row['gradients apart']:.1e} |")
    if options.json:
        options.json.write_text(json.dumps({"where": where, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
