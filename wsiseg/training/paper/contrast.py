"""Section 2 of the paper for one batch: draw patches on the confidence maps and contrast them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wsiseg.training.config import TrainingConfig
from wsiseg.training.paper.feature_network import FeatureNetwork
from wsiseg.training.paper.gather import gather_patches, joined, places
from wsiseg.training.paper.losses import Patches, can_contrast, contrastive_loss
from wsiseg.training.paper.sampler import SAMPLERS, patch_corners, patch_statistics
from wsiseg.training.paper.similarity import SIMILARITIES


@dataclass(frozen=True)
class Contrast:
    """The contrastive losses of R repeats.

    Parameters
    ----------
    losses : list of Tensor or None
        L of eq. 9 for each repeat; None where a class has no positive or no negative.
    means, entropies : Tensor
        A and B of every candidate patch, (R, N, K, C), on the CPU.
    """

    losses: list[Tensor | None]
    means: Tensor
    entropies: Tensor


def contrast(
    confidence: Tensor,
    images: Tensor,
    config: TrainingConfig,
    generators: Sequence[torch.Generator],
    features: FeatureNetwork | None = None,
) -> Contrast:
    """Compute the contrastive losses of one batch of each of R repeats, on the device for all at once.

    Parameters
    ----------
    confidence : Tensor
        Of each repeat's network, (R, N, K, H, W).
    images : Tensor
        What each saw, (R, N, 3, H, W).
    config : TrainingConfig
        Where the contrastive losses weigh nothing, none is computed.
    generators : sequence of torch.Generator
        Each draws a repeat's patches and anchors, on the CPU.
    features : FeatureNetwork, optional
        For the cosine similarity.
    """
    count, size = confidence.shape[:2]
    maps = confidence.flatten(0, 1)
    means, entropies = patch_statistics(maps, config.patch_px, config.stride_px)
    means, entropies = (values.view(count, size, *values.shape[1:]) for values in (means, entropies))
    losses: list[Tensor | None] = [None] * count
    if config.contrastive_weight == 0:
        return Contrast(losses, means, entropies)
    corners = patch_corners(images.shape[-2], images.shape[-1], config.patch_px, config.stride_px)
    draw = SAMPLERS[config.sampler]
    drawn = [
        places(draw(a, b, config.draws, generator), corners)
        for a, b, generator in zip(means, entropies, generators, strict=True)
    ]
    able = [r for r in range(count) if can_contrast(drawn[r].klass, drawn[r].positive, config.classes)]
    if not able:
        return Contrast(losses, means, entropies)
    where = joined([drawn[r] for r in able], able, size)
    patches = gather_patches(images.flatten(0, 1), maps, where, config.patch_px)
    compared = patches.flatten(1) if features is None else features.featurise(patches)
    pools = torch.split(compared, [len(drawn[r].klass) for r in able])
    for r, pool in zip(able, pools, strict=True):
        losses[r] = contrastive_loss(
            Patches(pool, drawn[r].klass, drawn[r].positive),
            config.classes,
            SIMILARITIES[config.similarity],
            config.inter,
            anchors=config.anchors,
            images=size,
            generator=generators[r],
        )
    return Contrast(losses, means, entropies)
