"""One step: what is skipped, and that no image gives a loss that is no number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from wsiseg.network.fcnn import FCNN, to_input
from wsiseg.training.step import StepLoss, step_losses


def step_loss(network: FCNN, rgb: np.ndarray, config) -> StepLoss:
    images = to_input(rgb)
    generator = torch.Generator().manual_seed(0)
    return step_losses(network.logits(images)[None], images[None], config, [generator])[0]


def test_a_step_without_positives_is_skipped_and_counted(config):
    network = FCNN(2)
    with torch.no_grad():
        network.head.bias.fill_(-200.0)
    done = step_loss(network, np.random.default_rng(0).integers(0, 255, (2, 80, 80, 3), np.uint8), config)
    assert done.skipped
    assert done.loss is None


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("similarity", ["mse", "ce", "kl", "mi"])
def test_constant_images_give_no_nan(config, similarity, value):
    """A network whose maps are near 0.5 draws positives and negatives of every class."""
    torch.manual_seed(0)
    network = FCNN(2)
    done = step_loss(
        network, np.full((2, 80, 80, 3), value, np.uint8), replace(config, similarity=similarity)
    )
    assert done.loss is not None
    assert torch.isfinite(done.loss)
    done.loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())
