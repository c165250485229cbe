"""Repeats of a training as one network of grouped convolutions, against one after another.

    python benchmarks/repeats.py [--repeats 2 10] [--images 10] [--side 300] [--rounds 3] [--json FILE]

Forward and backward of a step on soft targets, each repeat with crops of its own; on the GPU where there
is one, else on one thread in processor seconds. Stacked, R networks are one: grouped convolutions of R groups
and batch norm over all their channels, so every repeat gets the gradients that it has alone, to rounding.
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
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from wsiseg.network.fcnn import FCNN


def stacked(networks: list[FCNN]) -> FCNN:
    """Return one network that computes all: channels of each are a group."""
    count = len(networks)
    whole = FCNN(networks[0].classes)
    parts = [dict(network.named_modules()) for network in networks]
    for name, module in list(whole.named_modules()):
        if not isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            continue
        if isinstance(module, nn.Conv2d):
            module.groups, module.in_channels = count, count * module.in_channels
            module.out_channels *= count
        else:
            module.num_features *= count
            for buffer in ("running_mean", "running_var"):
                setattr(module, buffer, torch.cat([getattr(part[name], buffer) for part in parts]))
        for parameter, value in list(module.named_parameters(recurse=False)):
            if value is not None:
                joined = torch.cat([part[name].get_parameter(parameter).detach() for part in parts])
                setattr(module, parameter, nn.Parameter(joined))
    return whole


def step(network: FCNN, images: Tensor, target: Tensor) -> None:
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
    whole, all_images, all_targets = stacked(networks).train(), torch.cat(images, 1), torch.cat(targets, 1)

    def in_turn() -> None:
        for network, its_images, its_target in zip(networks, images, targets, strict=True):
            step(network, its_images, its_target)

    def at_once() -> None:
        step(whole, all_images, all_targets)

    found: dict[str, float] = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        for network in (*networks, whole):
            network.to(memory_format=layout)
        images = [its.contiguous(memory_format=layout) for its in images]
        all_images = all_images.contiguous(memory_format=layout)
        name = str(layout).removeprefix("torch.")
        found[f"in turn, {name}"] = seconds(in_turn, device, options.rounds)
        found[f"stacked, {name}"] = seconds(at_once, device, options.rounds)
    apart = 0.0
    for name, value in whole.named_parameters():
        assert value.grad is not None
        alone = torch.cat([network.get_parameter(name).grad for network in networks])  # type: ignore[misc]
        apart = max(apart, float((value.grad - alone).abs().max() / alone.abs().max()))
    return found | {"gradients apart": apart}


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
