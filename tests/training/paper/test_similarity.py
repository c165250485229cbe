"""Similarities against loops over pairs and pixels."""

from __future__ import annotations

import math

import pytest
import torch

from wsiseg.training.paper.similarity import BINS, EPS, LUMA, SIMILARITIES


def slow_mse(a, b):
    return -sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / len(a)


def slow_ce(a, b):
    return sum(x * math.log2(y) + (1 - x) * math.log2(1 - y) for x, y in zip(a, b, strict=True)) / len(a)


def slow_cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def slow_kl(a, b):
    r, q = ([sum(w * x[c * 4 + i] for c, w in enumerate(LUMA)) for i in range(4)] for x in (a, b))
    return -sum(y * math.log(y / x) for x, y in zip(r, q, strict=True)) / 4


def slow_mi(a, b):
    def shares(x):
        return [max(0.0, 1 - abs(x * (BINS - 1) - level)) for level in range(BINS)]

    joint = [[0.0] * BINS for _ in range(BINS)]
    for x, y in zip(a, b, strict=True):
        for i, p in enumerate(shares(x)):
            for j, q in enumerate(shares(y)):
                joint[i][j] += p * q / len(a)
    one = [sum(row) for row in joint]
    two = [sum(row[j] for row in joint) for j in range(BINS)]
    return sum(
        joint[i][j] * math.log2((joint[i][j] + EPS) / (one[i] * two[j] + EPS))
        for i in range(BINS)
        for j in range(BINS)
    )


SLOW = {"mse": slow_mse, "ce": slow_ce, "cosine": slow_cosine, "kl": slow_kl, "mi": slow_mi}


def patches(count: int, seed: int) -> torch.Tensor:
    drawn = torch.rand(count, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 0.05 + 0.9 * drawn


@pytest.mark.parametrize("name", SIMILARITIES)
def test_every_pair_as_by_hand(name):
    first, second = patches(3, 0), patches(4, 1)
    found = SIMILARITIES[name](first, second)
    slow = [[SLOW[name](a.tolist(), b.tolist()) for b in second] for a in first]
    assert torch.allclose(found, torch.tensor(slow, dtype=torch.float64), atol=1e-12)


@pytest.mark.parametrize("name", SIMILARITIES)
def test_gradients(name):
    first, second = patches(2, 0).requires_grad_(), patches(3, 1).requires_grad_()
    assert torch.autograd.gradcheck(SIMILARITIES[name], (first, second))


@pytest.mark.parametrize("name", ["mse", "cosine"])
def test_nothing_is_more_alike_than_the_same(name):
    both = patches(5, 2)
    found = SIMILARITIES[name](both, both)
    assert (found.diagonal()[:, None] >= found - 1e-12).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", SIMILARITIES)
def test_black_white_and_constant_patches_are_finite(name, dtype):
    odd = torch.stack([torch.zeros(9), torch.ones(9), torch.full((9,), 0.5), torch.arange(9) % 2.0]).to(dtype)
    first, second = odd.clone().requires_grad_(), odd.clone().requires_grad_()
    found = SIMILARITIES[name](first, second)
    found.sum().backward()
    assert torch.isfinite(found).all()
    assert torch.isfinite(first.grad).all()
    assert torch.isfinite(second.grad).all()
