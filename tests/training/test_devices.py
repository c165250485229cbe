"""That training puts all it needs on its device: torch's device without data stands for a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wsiseg.training.config import TrainingConfig
from wsiseg.training.learner import Alone, Repeat
from wsiseg.training.presets import preset
from wsiseg.training.stacked import Stack
from wsiseg.training.state import new_state
from wsiseg.training.stream import Batch

ELSEWHERE = torch.device("meta")


@pytest.fixture(autouse=True)
def values(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is brought to the CPU is made up; torch itself refuses to compute with both devices."""
    cpu, copy = torch.Tensor.cpu, torch.Tensor.copy_
    generator = torch.Generator().manual_seed(0)

    def brought(tensor: torch.Tensor) -> torch.Tensor:
        return torch.rand(tensor.shape, generator=generator) if tensor.is_meta else cpu(tensor)

    def copied(to: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        return to if source.is_meta and not to.is_meta else copy(to, source)

    monkeypatch.setattr(torch.Tensor, "cpu", brought)
    monkeypatch.setattr(torch.Tensor, "copy_", copied)


def batch_of(config: TrainingConfig) -> Batch:
    rng, side = np.random.default_rng(0), config.crop_px
    images = rng.random((2, 3, side, side), dtype=np.float32)
    target = rng.integers(0, 256, (2, side, side, 4), dtype=np.uint8) if config.target.weight else None
    return Batch(0, 0, 5, images, target)


def repeats_of(config: TrainingConfig) -> list[Repeat]:
    nothing: Any = None
    return [Repeat(n, config, nothing, nothing, ELSEWHERE, Path()) for n in range(2)]


CONFIGS = [preset("default"), preset("small"), preset("paper"), preset("paper", similarity="cosine")]


@pytest.mark.parametrize("config", CONFIGS)
def test_a_repeat_alone(config: TrainingConfig) -> None:
    state = new_state(config, 0, ELSEWHERE)
    learner = Alone(repeats_of(config)[0], state)
    for _ in range(2):
        (done,) = learner.step([batch_of(config)])
        assert done.loss is not None
        assert done.loss.device == ELSEWHERE
        assert not done.skipped
        assert done.means.device.type == "cpu"
    assert all(value.is_meta for value in state.validated.state_dict().values())


@pytest.mark.parametrize("config", CONFIGS[:3])
def test_repeats_as_one_network(config: TrainingConfig) -> None:
    states = [new_state(config, n, ELSEWHERE) for n in range(2)]
    stack = Stack(repeats_of(config), states)
    for _ in range(2):
        done = stack.step([batch_of(config)] * 2)
        assert [its.loss is not None and its.loss.device == ELSEWHERE for its in done] == [True, True]
    stack.settle()
    for state in states:
        assert all(its["exp_avg"].is_meta for its in state.optimiser.state.values())
        assert all(value.is_meta for value in state.validated.state_dict().values())


def test_a_tensor_left_behind_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="device"):
        torch.ones(3, device=ELSEWHERE) + torch.ones(3)
