"""The file that holds a repeat between two epochs.

It is one safetensors file, tensors by name and the rest as JSON in its header: nothing in it can be executed.
It is written beside its place and renamed. No generator is kept: random choices follow from seed and place.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from wsiseg.errors import StoreError
from wsiseg.machine.replacing import write_output
from wsiseg.training.config import TrainingConfig
from wsiseg.training.state import EpochRecord, RepeatState, Weights, new_state

FILE_NAME = "checkpoint"
FORMAT = 1
MAX_FILE_BYTES = 256 << 20


def save_state(folder: Path, state: RepeatState) -> None:
    """Write the checkpoint of a repeat beside its place and rename it."""
    tensors: Weights = {}

    def add(prefix: str, values: Mapping[str, Tensor]) -> None:
        tensors.update({f"{prefix}/{name}": value.detach().cpu() for name, value in values.items()})

    add("network", state.network.state_dict())
    if state.features is not None:
        add("features", state.features.state_dict())
    if state.average is not None:
        add("average", state.average.state_dict())
    for i, values in state.optimiser.state_dict()["state"].items():
        add(f"adam/{i}", values)
    for epoch, weights in state.weights.items():
        add(f"weights/{epoch}", weights)
    if state.histograms:
        tensors["histograms"] = torch.stack(state.histograms)
    described = {"format": FORMAT, "history": [dataclasses.asdict(record) for record in state.history]}
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    data = safetensors.torch.save(contiguous, metadata={"wsiseg": json.dumps(described, sort_keys=True)})
    write_output(folder / FILE_NAME, data)


def load_state(
    folder: Path,
    config: TrainingConfig,
    repeat: int,
    device: torch.device,
    start: Mapping[str, Tensor] | None = None,
) -> RepeatState:
    """Return the state that a checkpoint holds, or the state before the first step where there is none.

    Raises
    ------
    StoreError
        If there is a checkpoint that cannot be used.
    """
    state = new_state(config, repeat, device, start)
    file = folder / FILE_NAME
    if not file.exists():
        return state
    try:
        header, tensors = _read(file)
        _restore(state, header, tensors)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise StoreError(
            f"{file}: not a checkpoint that this wsiseg can resume ({error}); remove the folder "
            f"{folder.name} to train this repeat from the start"
        ) from error
    return state


def _restore(state: RepeatState, header: dict[str, Any], tensors: Weights) -> None:
    groups: dict[str, Weights] = {}
    for name, tensor in tensors.items():
        prefix, _, rest = name.rpartition("/")
        groups.setdefault(prefix, {})[rest] = tensor
    state.network.load_state_dict(groups["network"])
    if state.features is not None:
        state.features.load_state_dict(groups["features"])
    if state.average is not None:
        state.average.load_state_dict(groups["average"])
    _restore_adam(state.optimiser, {int(key[5:]): v for key, v in groups.items() if key.startswith("adam/")})
    state.weights = {int(key[8:]): v for key, v in groups.items() if key.startswith("weights/")}
    state.histograms = list(tensors["histograms"]) if "histograms" in tensors else []
    state.history = [_record(values) for values in header["history"]]


def _restore_adam(optimiser: torch.optim.Adam, moments: dict[int, Weights]) -> None:
    described = optimiser.state_dict()
    described["state"] = moments
    optimiser.load_state_dict(described)
    # In the layout of the weights, so that later steps round as in an uninterrupted run.
    for parameter, values in optimiser.state.items():
        for name, value in values.items():
            if value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter).copy_(value)


def _record(values: dict[str, Any]) -> EpochRecord:
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return EpochRecord(**{**values, **lists})


def _read(file: Path) -> tuple[dict[str, Any], Weights]:
    if file.stat().st_size > MAX_FILE_BYTES:
        raise ValueError("too large")
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    if not 0 < length <= len(data) - 8:
        raise ValueError("truncated")
    described = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["wsiseg"])
    if described["format"] != FORMAT:
        raise ValueError(f"format {described['format']}")
    return described, safetensors.torch.load(data)
