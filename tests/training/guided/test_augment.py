"""Augmentation keeps what it should and changes what it should."""

from __future__ import annotations

import pytest
import torch

from wsiseg.training.guided.augment import flip, jitter_rgb, jitter_stains


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_target_turns_with_its_image():
    images = torch.rand(8, 3, 6, 6, generator=generator())
    turned, target = flip(images, images[:, :1].clone(), generator(1))
    assert torch.equal(turned[:, :1], target)
    assert not torch.equal(turned, images)
    for a, b in zip(turned, images, strict=True):
        assert torch.equal(a.flatten(1).sort().values, b.flatten(1).sort().values)


BOTH = pytest.mark.parametrize("jitter", [jitter_rgb, jitter_stains])


@BOTH
def test_jitter_of_strength_zero_changes_nothing(jitter):
    images = torch.rand(2, 3, 5, 5, generator=generator()).clamp_min(0.01)
    assert torch.allclose(jitter(images, 0.0, 0.0, generator()), images, atol=1e-5)


@BOTH
def test_jitter_changes_each_image_differently_and_stays_in_range(jitter):
    images = torch.rand(1, 3, 16, 16, generator=generator()).repeat(3, 1, 1, 1)
    changed = jitter(images, 0.4, 0.3, generator())
    assert torch.isfinite(changed).all()
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert not torch.allclose(changed[0], changed[1], atol=0.01)


@BOTH
def test_black_and_white_survive(jitter):
    images = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 3, 4, 4)
    assert torch.isfinite(jitter(images, 0.5, 0.5, generator())).all()
