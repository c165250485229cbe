"""Patches of image times confidence, and how their gradient reaches the network."""

from __future__ import annotations

import torch

from wsiseg.network.fcnn import FCNN, normalise
from wsiseg.training.paper.feature_network import FeatureNetwork
from wsiseg.training.paper.gather import gather_patches, places
from wsiseg.training.paper.losses import Patches, contrastive_loss
from wsiseg.training.paper.sampler import Draw, draw_patches, patch_corners
from wsiseg.training.paper.similarity import mse


def test_patches_are_slices_of_the_product():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 11, 13, generator=generator)
    confidence = torch.rand(2, 4, 11, 13, generator=generator)
    corners = patch_corners(11, 13, 4, 3)
    index = torch.randint(len(corners), (2, 4, 5), generator=generator)
    positive = torch.rand(2, 4, 5, generator=generator) < 0.5
    valid = torch.rand(2, 4, 5, generator=generator) < 0.8
    where = places(Draw(index, positive, valid), corners)
    found = gather_patches(images, confidence, where, 4)
    kept = [(i, k, m) for i in range(2) for k in range(4) for m in range(5) if valid[i, k, m]]
    assert len(kept) == len(found) < 40
    for patch, klass, sign, (i, k, m) in zip(found, where.klass, where.positive, kept, strict=True):
        r, c = corners[index[i, k, m]].tolist()
        assert torch.equal(patch, images[i, :, r : r + 4, c : c + 4] * confidence[i, k, r : r + 4, c : c + 4])
        assert (klass, sign) == (k, positive[i, k, m])


def test_gradients_are_those_of_slices_and_reach_every_weight():
    torch.manual_seed(0)
    network = FCNN(2).double()
    images = normalise(torch.rand(2, 3, 70, 70, dtype=torch.float64))

    def gradients(sliced: bool) -> list[torch.Tensor]:
        network.zero_grad()
        confidence = network(images)
        generator = torch.Generator().manual_seed(1)
        draw, _, _ = draw_patches(confidence, "uniform", 30, 20, 6, generator)
        where = places(draw, patch_corners(70, 70, 30, 20))
        if sliced:
            parts = [
                images[i, :, r : r + 30, c : c + 30] * confidence[i, k, r : r + 30, c : c + 30]
                for i, k, r, c, _ in zip(*where, strict=True)
            ]
            patches = torch.stack(parts)
        else:
            patches = gather_patches(images, confidence, where, 30)
        pool = Patches(patches.flatten(1), where.klass, where.positive)
        contrastive_loss(pool, 2, mse, "log", anchors=10, images=2, generator=generator).backward()
        return [p.grad.clone() for p in network.parameters() if p.grad is not None]

    fast, slow = gradients(False), gradients(True)
    assert len(fast) == len(list(network.parameters()))
    for a, b in zip(fast, slow, strict=True):
        assert torch.allclose(a, b, atol=1e-12)
        assert a.abs().sum() > 0


def test_feature_network_has_the_paper_s_size():
    network = FeatureNetwork()
    assert sum(p.numel() for p in network.parameters()) == 3386
    assert sum(p.numel() for p in FCNN(4).parameters()) + 3386 == 10_758
    assert network.featurise(torch.rand(5, 3, 50, 50)).shape == (5, 32)
