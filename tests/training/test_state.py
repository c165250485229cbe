"""The state of a repeat before its first step."""

from __future__ import annotations

import torch
from repeats import CPU

from wsiseg.training.state import new_state


def weights_of(state) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in state.network.state_dict().values()])


def test_repeats_start_from_different_weights(config):
    first, second, again = (new_state(config, number, CPU) for number in (0, 1, 0))
    assert torch.equal(weights_of(first), weights_of(again))
    assert not torch.equal(weights_of(first), weights_of(second))


def test_global_random_state_is_left_alone(config):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    new_state(config, 0, CPU)
    assert torch.equal(before, torch.random.get_rng_state())
