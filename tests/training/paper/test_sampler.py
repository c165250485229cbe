"""The sampler against slow, obvious versions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from wsiseg.training.paper.sampler import (
    SAMPLERS,
    binary_entropy,
    draw_patches,
    draw_weighted,
    entropy_sampler,
    patch_corners,
    patch_means,
    probabilistic_sampler,
    sentinel_sampler,
    top_sampler,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_entropy_is_in_bits_and_finite_at_the_ends():
    p = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64)
    quarter = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    assert binary_entropy(p).tolist() == pytest.approx([0, quarter, 1, 0], abs=1e-15)


def test_means_are_those_of_each_patch_by_hand():
    maps = torch.rand(2, 3, 11, 14, generator=generator(), dtype=torch.float64)
    found = patch_means(maps, 4, 3)
    corners = patch_corners(11, 14, 4, 3)
    assert corners.tolist() == [[r, c] for r in (0, 3, 6) for c in (0, 3, 6, 9)]
    slow = [
        [[maps[i, k, r : r + 4, c : c + 4].mean() for r, c in corners] for k in range(3)] for i in range(2)
    ]
    assert torch.allclose(found, torch.tensor(slow, dtype=torch.float64), atol=1e-14)


def test_a_crop_of_300_px_has_169_candidates():
    assert len(patch_corners(300, 300, 50, 20)) == 169
    assert patch_means(torch.zeros(1, 4, 300, 300), 50, 20).shape == (1, 4, 169)


def test_weighted_draws_follow_the_weights():
    weights = torch.tensor([[0.0, 1.0, 3.0, 0.0], [2.0, 2.0, 0.0, 4.0]])
    drawn = draw_weighted(weights, 20_000, generator())
    for row, weight in zip(drawn, weights, strict=True):
        shares = torch.bincount(row, minlength=4) / 20_000
        assert torch.allclose(shares, weight / weight.sum(), atol=0.015)
        assert (shares[weight == 0] == 0).all()


def test_rows_without_weight_are_drawn_evenly():
    shares = torch.bincount(draw_weighted(torch.zeros(1, 4), 8000, generator())[0], minlength=4) / 8000
    assert torch.allclose(shares, torch.full((4,), 0.25), atol=0.03)


def test_entropy_sampler_prefers_certain_patches_and_signs_by_confidence():
    confidence = torch.tensor([[[0.9, 0.1, 0.5]]], dtype=torch.float64)
    entropy = torch.tensor([[[0.2, 0.2, 1.0]]], dtype=torch.float64)
    counts, signs = torch.zeros(3), torch.zeros(3)
    for seed in range(3000):
        draw = entropy_sampler(confidence, entropy, 4, generator(seed))
        counts += torch.bincount(draw.index.flatten(), minlength=3)
        signs += torch.bincount(draw.index.flatten(), draw.positive.flatten().float(), minlength=3)
        for index in range(3):
            assert draw.positive[draw.index == index].unique().numel() <= 1
    weights = torch.tensor([0.8, 0.8, 0.001])
    assert torch.allclose(counts / counts.sum(), weights / weights.sum(), atol=0.02)
    assert signs[0] / counts[0] == pytest.approx(0.9, abs=0.03)
    assert signs[1] / counts[1] == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_every_sampler_survives_constant_maps(name, value):
    draw, means, entropies = draw_patches(torch.full((2, 3, 90, 70), value), name, 50, 20, 7, generator())
    assert draw.index.shape == draw.positive.shape == draw.valid.shape
    assert draw.index.min() >= 0
    assert draw.index.max() < 3 * 2
    assert torch.isfinite(means).all()
    assert torch.isfinite(entropies).all()
    if name == "entropy" and value in (0.0, 1.0):
        assert (draw.positive == bool(value)).all()


def test_probabilistic_sampler_draws_by_share_and_by_its_complement():
    confidence = torch.tensor([[[0.6, 0.3, 0.1]]], dtype=torch.float64)
    draw = probabilistic_sampler(confidence, confidence, 20_000, generator())
    positives = torch.bincount(draw.index[draw.positive], minlength=3) / 20_000
    negatives = torch.bincount(draw.index[~draw.positive], minlength=3) / 20_000
    assert positives.tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.02)
    assert negatives.tolist() == pytest.approx([0.2, 0.35, 0.45], abs=0.02)


def test_sentinel_takes_most_draws_where_confidence_is_low():
    confidence = torch.full((1, 1, 4), 0.01, dtype=torch.float64)
    draw = sentinel_sampler(confidence, confidence, 1000, generator())
    assert draw.valid[draw.positive].float().mean() < 0.1
    assert draw.valid[~draw.positive].float().mean() > 0.9


def test_top_sampler_draws_positives_from_the_top_only():
    confidence = torch.linspace(0, 1, 169, dtype=torch.float64).reshape(1, 1, 169)
    draw = top_sampler(confidence, confidence, 500, generator())
    assert draw.index[draw.positive].min() >= 169 - 50
    assert draw.index[~draw.positive].max() < 169 - 50


def test_same_generator_same_draw():
    maps = torch.from_numpy(np.random.default_rng(0).random((2, 4, 120, 120)))
    first, second = (draw_patches(maps, "entropy", 50, 20, 10, generator(5))[0] for _ in range(2))
    assert torch.equal(first.index, second.index)
    assert torch.equal(first.positive, second.positive)
