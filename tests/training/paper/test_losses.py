"""Losses of eq. 7-9 against triple loops in float64."""

from __future__ import annotations

import math

import pytest
import torch

from wsiseg.training.config import INTER
from wsiseg.training.paper.losses import (
    Patches,
    can_contrast,
    contrastive_loss,
    inter_loss,
    intra_loss,
)
from wsiseg.training.paper.similarity import SIMILARITIES, mse


def pool(seed: int = 0, size: int = 24, classes: int = 3) -> Patches:
    generator = torch.Generator().manual_seed(seed)
    features = torch.rand(size, 6, generator=generator, dtype=torch.float64)
    return Patches(features, torch.arange(size) % classes, torch.arange(size) % 4 < 2)


def slow_loss(patches: Patches, count: int, inter: str) -> float:
    def s(r, p):
        return float(-((patches.features[r] - patches.features[p]) ** 2).mean())

    def where(k, positive):
        pairs = zip(patches.classes.tolist(), patches.positive.tolist(), strict=True)
        return [i for i, pair in enumerate(pairs) if pair == (k, positive)]

    total = 0.0
    for k in range(count):
        chosen, others = where(k, True), [q for i in range(count) if i != k for q in where(i, True)]
        for r in chosen:
            for p in chosen:
                top = math.exp(s(r, p))
                total -= math.log(top / sum(math.exp(s(r, n)) for n in where(k, False))) / len(chosen) ** 2
                ratio = top / sum(math.exp(s(r, q)) for q in others)
                total -= (math.log(ratio) if inter == "log" else ratio) / len(chosen) ** 2
    return total


@pytest.mark.parametrize("inter", INTER)
def test_whole_loss_as_by_hand(inter):
    patches = pool()
    assert contrastive_loss(patches, 3, mse, inter).item() == pytest.approx(slow_loss(patches, 3, inter))


def test_authors_form_on_every_positive_once_differs_by_its_scale_only():
    to_positives, rest = torch.randn(4, 4, dtype=torch.float64), torch.randn(4, 7, dtype=torch.float64)
    paper = intra_loss(to_positives, rest, 1 / 16) + inter_loss(to_positives, rest, 1 / 16, "log")
    code = intra_loss(to_positives, rest, 1 / 100 / 5) + inter_loss(to_positives, rest, 1 / 100 / 5, "log")
    assert code.item() == pytest.approx(paper.item() * 16 / 500)


def test_authors_form_averages_to_the_sum_over_positives():
    patches = pool()
    anchored = [
        contrastive_loss(
            patches, 3, mse, "log", anchors=10, images=2, generator=torch.Generator().manual_seed(seed)
        ).item()
        for seed in range(300)
    ]
    # 10 anchors instead of 4, divided by 10^2 and 2 images instead of 4^2.
    expected = slow_loss(patches, 3, "log") * (10 / 4) * (4**2 / 10**2) / 2
    assert sum(anchored) / 300 == pytest.approx(expected, rel=0.02)


def test_large_similarities_do_not_overflow():
    far = torch.tensor([[0.0, -2000.0]], dtype=torch.float32, requires_grad=True)
    loss = intra_loss(far, far - 3000, 1.0) + inter_loss(far, far + 500, 1.0, "log")
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(far.grad).all()


@pytest.mark.parametrize("inter", INTER)
@pytest.mark.parametrize("name", SIMILARITIES)
def test_gradient_of_the_whole_loss(name, inter):
    patches = pool(size=8, classes=2)

    def loss(features):
        kept = Patches(0.1 + 0.8 * features, patches.classes, patches.positive)
        return contrastive_loss(kept, 2, SIMILARITIES[name], inter)

    assert torch.autograd.gradcheck(loss, patches.features.clone().requires_grad_())


def test_one_class_has_no_inter_loss():
    patches = pool(classes=1)
    logs = contrastive_loss(patches, 1, mse, "log").item()
    assert logs == pytest.approx(contrastive_loss(patches, 1, mse, "ratio").item())


def test_a_class_without_positive_or_negative_is_not_contrasted():
    classes = torch.tensor([0, 0, 1, 1])
    assert can_contrast(classes, torch.tensor([True, False, False, True]), 2)
    assert not can_contrast(classes, torch.tensor([True, False, False, False]), 2)
    assert not can_contrast(classes, torch.tensor([True, False, True, True]), 2)
    assert not can_contrast(classes, torch.tensor([True, False, False, True]), 3)
