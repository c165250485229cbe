"""How fast one core runs the network: the fused kernel, OpenVINO and torch, in turn.

    python benchmarks/network_speed.py [--widths 8,16,24] [--rounds 7] [--json FILE]

One block of 1024 px as `predict` computes it, with its halo, from pixels in memory to confidence. torch
is the engine of GPUs on one CPU thread, OpenVINO (`pip install openvino`; left out where it is not) is
given what the network sees. Both compute the halo like the rest; the fused kernel computes of it what the
block needs, so its whole window is timed too. Width 8 is the model that ships, others have random
weights. Processor seconds, medians over rounds in which every engine runs once.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# AVX-512 pads 8 channels to 16 lanes: oneDNN is the faster without, in OpenVINO and in torch.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")

import numpy as np
import torch
from harness.machine import machine

from wsiseg.network.appearance import network_input, rgb_table
from wsiseg.network.architecture import DILATIONS, RADIUS_PX, through
from wsiseg.network.engine import TorchEngine
from wsiseg.network.fold import Convolution, FoldedNetwork, fold
from wsiseg.network.fused import FusedNetwork
from wsiseg.network.model import load_model
from wsiseg.store.blocks import SHARD_PX

FUSED, WHOLE, OPENVINO, TORCH = "fused", "fused, whole window", "OpenVINO", "torch"
SHIPPED_WIDTH = 8
INNER = (slice(RADIUS_PX, RADIUS_PX + SHARD_PX),) * 2
TABLE = rgb_table()


def random_network(width: int) -> FoldedNetwork:
    """Return a network of another width with random weights, whose features stay near 1."""
    rng = np.random.default_rng(width)

    def layer(inputs: int, outputs: int, kernel: int, dilation: int = 1, residual: bool = False) -> Any:
        scale = (inputs * kernel**2) ** -0.5
        weight = rng.normal(0, scale, (outputs, inputs, kernel, kernel)).astype(np.float32)
        bias = rng.normal(0, 0.1, outputs).astype(np.float32)
        return Convolution(weight, bias, dilation * (kernel // 2), dilation, kernel > 1, residual)

    pairs = [layer(width, width, 3, dilation, half) for dilation in DILATIONS for half in (False, True)]
    return (layer(3, width, 3), *pairs, layer(width, 1, 1))


def in_openvino(network: FoldedNetwork) -> Callable[[np.ndarray], np.ndarray]:
    """Return the network as a function of pixels, on one thread of OpenVINO in single precision."""
    import openvino
    from openvino import opset13 as ops

    def apply(layer: Any, x: Any, plus: Any) -> Any:
        pad, dilation = [layer.padding] * 2, [layer.dilation] * 2
        y = ops.convolution(x, layer.weight, [1, 1], pad, pad, dilation)
        y = ops.add(y, layer.bias.reshape(1, -1, 1, 1))
        if layer.activated:
            y = ops.elu(y, 1.0)
        return y if plus is None else ops.add(plus, y)

    planes = ops.parameter([1, 3, -1, -1], np.float32, name="planes")
    made = openvino.Model([ops.sigmoid(through(network, planes, apply))], [planes], "network")
    single = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(made, "CPU", single).create_infer_request()

    def run(rgb: np.ndarray) -> np.ndarray:
        request.infer({0: network_input(rgb, TABLE)[None]}, share_inputs=True, share_outputs=True)
        return request.get_output_tensor().data[0, 0][INNER].copy()

    return run


def engines(width: int) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    network = fold(load_model()) if width == SHIPPED_WIDTH else random_network(width)
    fused, plain = FusedNetwork(network), TorchEngine(network, "cpu")
    found = {
        FUSED: lambda rgb: fused.run(rgb, TABLE, INNER),
        WHOLE: lambda rgb: fused.run(rgb, TABLE)[INNER],
        TORCH: lambda rgb: plain.confidence(rgb, TABLE, INNER),
    }
    if importlib.util.find_spec("openvino"):
        found[OPENVINO] = in_openvino(network)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", default="8,16,24")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    side = SHARD_PX + 2 * RADIUS_PX
    coarse = np.random.default_rng(0).integers(0, 256, (side // 4 + 1, side // 4 + 1, 3), dtype=np.uint8)
    rgb = np.ascontiguousarray(coarse.repeat(4, 0).repeat(4, 1)[:side, :side])
    print(f"{machine()}; one core, one block of {SHARD_PX} px")
    print("| width | engine | MP/s | times OpenVINO | largest difference to torch |\n|---|---|---|---|---|")
    results = []
    for width in map(int, options.widths.split(",")):
        runs = engines(width)
        made = {name: run(rgb) for name, run in runs.items()}
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(options.rounds):
            for name, run in runs.items():
                began = time.process_time()
                run(rgb)
                seconds[name].append(time.process_time() - began)
        for name, taken in seconds.items():
            row = {
                "width": width, "engine": name,
                "mp_per_s": SHARD_PX**2 / 1e6 / statistics.median(taken),
                "difference": float(np.abs(made[name] - made[TORCH]).max()),
                "times_openvino": statistics.median(
                    theirs / ours for theirs, ours in zip(seconds[OPENVINO], taken, strict=True)
                ) if OPENVINO in seconds else None,
            }  # fmt: skip
            ratio = "" if row["times_openvino"] is None else f"{row['times_openvino']:.2f}"
            print(f"| {width} | {name} | {row['mp_per_s']:.2f} | {ratio} | {row['difference']:.1e} |")
            results.append(row)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "rows": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
