"""One training step: draw patches on the confidence maps, contrast them, and follow the stain's target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, max_pool2d, pad

from wsiseg.network.fcnn import FCNN
from wsiseg.training.config import TrainingConfig
from wsiseg.training.paper.feature_network import FeatureNetwork
from wsiseg.training.paper.gather import gather_patches, joined, places
from wsiseg.training.paper.losses import Patches, can_contrast, contrastive_loss
from wsiseg.training.paper.sampler import SAMPLERS, patch_corners, patch_statistics
from wsiseg.training.paper.similarity import SIMILARITIES

GAP_REACH_UM = 1.0
"""Nuclei twice as far from each other as this have a narrow gap between them."""


@dataclass(frozen=True)
class StepLoss:
    """What a step is to minimise.

    Parameters
    ----------
    loss : Tensor or None
        The sum of all terms; None when there is none, and the step changes nothing.
    skipped : bool
        Whether the contrastive losses had to be left out: a class without a positive or a negative.
    means, entropies : Tensor
        A and B of every candidate patch, (N, K, C), on the CPU.
    """

    loss: Tensor | None
    skipped: bool
    means: Tensor
    entropies: Tensor


def step_loss(
    network: FCNN,
    images: Tensor,
    config: TrainingConfig,
    generator: torch.Generator,
    *,
    target: Tensor | None = None,
    target_weight: float = 0.0,
    features: FeatureNetwork | None = None,
) -> StepLoss:
    """Compute the loss of one batch.

    Parameters
    ----------
    network : FCNN
        In training mode.
    images : Tensor
        What the network sees, (N, 3, H, W).
    config : TrainingConfig
    generator : torch.Generator
        Draws patches and anchors, on the CPU.
    target : Tensor, optional
        Weak target of the first T channels in [0, 1], (N, T, H, W).
    target_weight : float
        Its weight at this epoch.
    features : FeatureNetwork, optional
        For the cosine similarity.
    """
    return step_losses(
        network.logits(images)[None],
        images[None],
        config,
        [generator],
        target=None if target is None else target[None],
        target_weight=target_weight,
        features=features,
    )[0]


def step_losses(
    logits: Tensor,
    images: Tensor,
    config: TrainingConfig,
    generators: Sequence[torch.Generator],
    *,
    target: Tensor | None = None,
    target_weight: float = 0.0,
    features: FeatureNetwork | None = None,
) -> list[StepLoss]:
    """Compute the losses of one batch of each of R repeats; what the device does is done for all at once.

    Parameters
    ----------
    logits : Tensor
        Of each repeat's network, (R, N, K, H, W).
    images : Tensor
        What each saw, (R, N, 3, H, W).
    config : TrainingConfig
    generators : sequence of torch.Generator
        Each draws a repeat's patches and anchors, on the CPU.
    target : Tensor, optional
        (R, N, T, H, W).
    target_weight : float
    features : FeatureNetwork, optional
        See `step_loss`.
    """
    count, size = logits.shape[:2]
    confidence = torch.sigmoid(logits.flatten(0, 1))
    means, entropies = patch_statistics(confidence, config.patch_px, config.stride_px)
    means, entropies = (of_all.view(count, size, *of_all.shape[1:]) for of_all in (means, entropies))
    corners = patch_corners(images.shape[-2], images.shape[-1], config.patch_px, config.stride_px)
    terms: list[list[Tensor]] = [[] for _ in range(count)]
    contrasted: list[int] = []
    if config.contrastive_weight > 0:
        draw = SAMPLERS[config.sampler]
        drawn = [
            places(draw(a, b, config.draws, generator), corners)
            for a, b, generator in zip(means, entropies, generators, strict=True)
        ]
        contrasted = [
            r for r in range(count) if can_contrast(drawn[r].klass, drawn[r].positive, config.classes)
        ]
    if contrasted:
        chosen = [drawn[r] for r in contrasted]
        where = joined(chosen, contrasted, size)
        patches = gather_patches(images.flatten(0, 1), confidence, where, config.patch_px)
        compared = patches.flatten(1) if features is None else features.featurise(patches)
        of_each = torch.split(compared, [len(its.klass) for its in chosen])
        for r, its, pool in zip(contrasted, chosen, of_each, strict=True):
            loss = contrastive_loss(
                Patches(pool, its.klass, its.positive),
                config.classes,
                SIMILARITIES[config.similarity],
                config.inter,
                anchors=config.anchors,
                images=size,
                generator=generators[r],
            )
            terms[r].append(config.contrastive_weight * loss)
    if target is not None and target_weight > 0:
        counts = None
        if config.gap_weight > 0:
            counts = 1 + config.gap_weight * near_gaps(target[:, :, 0], round(GAP_REACH_UM / config.mpp))
        led = target_loss(logits[:, :, : target.shape[2]], target, config.target.channels, counts)
        for r in range(count):
            terms[r].append(target_weight * led[r])
    return [
        StepLoss(
            torch.stack(its).sum() if its else None,
            config.contrastive_weight > 0 and r not in contrasted,
            means[r],
            entropies[r],
        )
        for r, its in enumerate(terms)
    ]


def target_loss(
    logits: Tensor, target: Tensor, weights: Sequence[float], counts: Tensor | None = None
) -> Tensor:
    """Return the weighted sum over channels of cross-entropy plus 1 - Dice of soft masks, over a batch.

    Parameters
    ----------
    logits, target : Tensor
        (..., N, T, H, W).
    weights : sequence of float
        One for each of the T channels.
    counts : Tensor, optional
        How much the cross-entropy of each pixel of the first channel counts, (..., N, H, W).

    Returns
    -------
    Tensor
        (...).
    """
    batch = (-4, -2, -1)
    confidence = torch.sigmoid(logits)
    entropy = binary_cross_entropy_with_logits(logits, target, reduction="none")
    if counts is not None:
        entropy = torch.cat([entropy[..., :1, :, :] * counts.unsqueeze(-3), entropy[..., 1:, :, :]], -3)
    shared = (confidence * target).sum(batch)
    total = confidence.square().sum(batch) + target.square().sum(batch)
    loss = entropy.mean(batch) + 1 - (2 * shared + 1) / (total + 1)
    return (loss * entropy.new_tensor(weights)).sum(-1)


def near_gaps(mask: Tensor, reach_px: int) -> Tensor:
    """Return how empty the narrow gaps of a soft mask are, also around them: (..., H, W) in [0, 1].

    A gap is what a morphological closing fills: nuclei end there that would else run together.

    Parameters
    ----------
    mask : Tensor
        (..., H, W) in [0, 1].
    reach_px : int
        Gaps are up to twice as wide; pixels as far from one are near it. 0: there are none.
    """
    planes, side = mask.reshape(-1, 1, *mask.shape[-2:]), 2 * reach_px + 1

    # What lies beyond the border is as the border, so that it closes nothing.
    def wider(x: Tensor, by: int) -> Tensor:
        return pad(x, [by] * 4, mode="replicate")

    def grown(x: Tensor) -> Tensor:
        return max_pool2d(max_pool2d(x, (1, side), stride=1), (side, 1), stride=1)

    gaps = -grown(-grown(wider(planes, 2 * reach_px))) - planes
    return grown(wider(gaps, reach_px)).view_as(mask)
