"""One training step: draw patches on the confidence maps, contrast them, and follow the stain's target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from wsiseg.network.fcnn import FCNN
from wsiseg.training.config import TrainingConfig
from wsiseg.training.feature_network import FeatureNetwork
from wsiseg.training.gather import gather_patches, places
from wsiseg.training.losses import Patches, can_contrast, contrastive_loss
from wsiseg.training.sampler import draw_patches, patch_corners
from wsiseg.training.similarity import SIMILARITIES


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
    logits = network.logits(images)
    confidence = torch.sigmoid(logits)
    draw, means, entropies = draw_patches(
        confidence, config.sampler, config.patch_px, config.stride_px, config.draws, generator
    )
    terms: list[Tensor] = []
    corners = patch_corners(images.shape[-2], images.shape[-1], config.patch_px, config.stride_px)
    where = places(draw, corners)
    contrasted = config.contrastive_weight > 0 and can_contrast(where.klass, where.positive, config.classes)
    if contrasted:
        patches = gather_patches(images, confidence, where, config.patch_px)
        compared = patches.flatten(1) if features is None else features.featurise(patches)
        pool = Patches(compared, where.klass, where.positive)
        loss = contrastive_loss(
            pool,
            config.classes,
            SIMILARITIES[config.similarity],
            config.inter,
            anchors=config.anchors,
            images=len(images),
            generator=generator,
        )
        terms.append(config.contrastive_weight * loss)
    if target is not None and target_weight > 0:
        terms.append(
            target_weight * target_loss(logits[:, : target.shape[1]], target, config.target.channels)
        )
    total = torch.stack(terms).sum() if terms else None
    return StepLoss(total, config.contrastive_weight > 0 and not contrasted, means, entropies)


def target_loss(logits: Tensor, target: Tensor, weights: Sequence[float]) -> Tensor:
    """Return the weighted sum over channels of cross-entropy plus 1 - Dice of soft masks, over the batch.

    Parameters
    ----------
    logits, target : Tensor
        (N, T, H, W).
    weights : sequence of float
        One for each of the T channels.
    """
    confidence = torch.sigmoid(logits)
    entropy = binary_cross_entropy_with_logits(logits, target, reduction="none").mean((0, 2, 3))
    shared = (confidence * target).sum((0, 2, 3))
    total = confidence.square().sum((0, 2, 3)) + target.square().sum((0, 2, 3))
    return ((entropy + 1 - (2 * shared + 1) / (total + 1)) * entropy.new_tensor(weights)).sum()
