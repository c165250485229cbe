"""Batch norm and ELU in one go, against torch in double precision."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import elu

from wsiseg.network.fcnn import FCNN
from wsiseg.network.norm_elu import LANES, PART, RUN, can_fuse, norm_elu


def batch(shape: tuple[int, int, int, int], *, mean: float = 0.0, sd: float = 1.0, seed: int = 0) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * sd + mean
    return values.contiguous(memory_format=torch.channels_last)


def norm_of(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels).train()
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-1.5, 2, channels))
        norm.bias.copy_(torch.linspace(1, -1, channels))
    return norm


def both_ways(x: Tensor, plus: Tensor | None, gradient: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return what `norm_elu` and torch in double precision make: result, gradients, running statistics."""
    found = []
    for ours in (True, False):
        norm = norm_of(x.shape[1]) if ours else norm_of(x.shape[1]).double()
        given_x = (x if ours else x.double()).detach().clone().requires_grad_()
        added = None if plus is None else (plus if ours else plus.double()).detach().clone().requires_grad_()
        if ours:
            assert can_fuse(given_x, norm)
            y = norm_elu(given_x, norm, added)
        else:
            y = elu(norm(given_x))
            y = y if added is None else y + added
        y.backward(gradient.to(y.dtype))
        results = [y, given_x.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var]
        found.append([r for r in [*results, None if added is None else added.grad] if r is not None])
    return found[0], found[1]


def assert_near(ours: list[Tensor], exact: list[Tensor], share: float = 2e-6) -> None:
    for a, b in zip(ours, exact, strict=True):
        assert (a.detach().double() - b.detach()).abs().max() <= share * max(1, b.detach().abs().max())


@pytest.mark.parametrize("with_plus", [False, True])
@pytest.mark.parametrize(
    "shape",
    [(1, 8, 2, 3), (1, 8, 3, 5), (2, 8, 8, 8), (3, 4, 17, 31), (1, 64, 5, 7), (2, 8, 150, 150)],
    ids=str,
)
def test_it_is_batch_norm_and_elu(shape: tuple[int, int, int, int], with_plus: bool) -> None:
    plus = batch(shape, seed=1) if with_plus else None
    assert_near(*both_ways(batch(shape), plus, batch(shape, seed=2)))


def test_gradients_of_a_large_batch_stay_exact() -> None:
    shape = (4, 8, 300, 300)
    assert 4 * 8 * 300 * 300 > 4 * PART > LANES * RUN
    assert_near(*both_ways(batch(shape), None, batch(shape, seed=2)))


def test_values_far_from_zero_cost_no_digits() -> None:
    shape = (2, 8, 64, 64)
    x = batch(shape, mean=1000.0, sd=0.1)
    # What float32 holds of these values is itself only good to 3e-4 of their spread.
    assert_near(*both_ways(x, None, batch(shape, seed=2)), share=2e-3)


def test_a_channel_of_one_value_gives_no_nan() -> None:
    x = torch.zeros(1, 8, 16, 16).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = norm_elu(x, norm_of(8))
    y.sum().backward()
    assert y.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@given(st.floats(-200, 200))
def test_elu_holds_at_any_value(z: float) -> None:
    # Two values, normalised to -1 and 1, times the weight: ELU sees -z and z.
    x = torch.tensor([-1e6, 1e6]).reshape(1, 1, 1, 2).contiguous(memory_format=torch.channels_last)
    norm = nn.BatchNorm2d(1)
    with torch.no_grad():
        norm.weight.fill_(z)
    expected = elu(torch.tensor([-z, z], dtype=torch.float64))
    found = norm_elu(x, norm).detach().flatten().double()
    assert torch.allclose(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("threads", [2, 3])
def test_the_number_of_threads_changes_no_bit(threads: int) -> None:
    shape, before = (4, 8, 200, 200), torch.get_num_threads()
    found = []
    try:
        for count in (1, threads):
            torch.set_num_threads(count)
            found.append(both_ways(batch(shape), batch(shape, seed=1), batch(shape, seed=2))[0])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_it_is_left_to_torch_where_it_cannot_be() -> None:
    norm, x = norm_of(8), batch((1, 8, 4, 4))
    assert can_fuse(x, norm)
    assert not can_fuse(x.contiguous(memory_format=torch.contiguous_format), norm)
    assert not can_fuse(x.double(), norm)
    assert not can_fuse(batch((1, 5, 4, 4)), norm_of(5))
    assert not can_fuse(x, norm.eval())
    with torch.no_grad():
        assert can_fuse(x, norm)


@pytest.mark.parametrize("with_plus", [False, True])
def test_out_of_training_it_takes_the_running_statistics(with_plus: bool) -> None:
    norm, x = norm_of(8).eval(), batch((2, 8, 33, 17), mean=2, sd=3)
    norm.running_mean, norm.running_var = torch.linspace(-1, 3, 8), torch.linspace(0.1, 9, 8)
    plus = batch(tuple(x.shape), seed=1) if with_plus else None
    exact = elu(copy.deepcopy(norm).double()(x.double()))
    exact = exact if plus is None else exact + plus
    before = norm.running_mean.clone()
    with torch.no_grad():
        found = norm_elu(x, norm, plus)
    assert_near([found], [exact])
    assert torch.equal(norm.running_mean, before)


def test_a_network_trains_alike_in_either_layout() -> None:
    torch.manual_seed(0)
    fused = FCNN().train().to(memory_format=torch.channels_last)
    exact = copy.deepcopy(fused).double()
    images = torch.rand(2, 3, 40, 40).contiguous(memory_format=torch.channels_last)
    for network in (fused, exact):
        network.logits(images.to(network.head.weight.dtype)).square().mean().backward()
    for (name, ours), theirs in zip(fused.named_parameters(), exact.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert (ours.grad - theirs.grad).abs().max() < 1e-5, name
    for name, buffer in fused.named_buffers():
        assert torch.allclose(buffer.double(), exact.get_buffer(name).double(), atol=1e-6), name
