"""One training step: augment a batch, and add up the losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wsiseg.network.fcnn import normalise
from wsiseg.training.config import TrainingConfig
from wsiseg.training.guided.augment import flip, jitter_rgb, jitter_stains
from wsiseg.training.guided.target_loss import guided_losses
from wsiseg.training.paper.contrast import contrast
from wsiseg.training.paper.feature_network import FeatureNetwork
from wsiseg.training.stream import Batch


@dataclass(frozen=True)
class StepLoss:
    """The losses of a step.

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


def prepare(
    batch: Batch, config: TrainingConfig, device: torch.device, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Return what the network sees of a batch, augmented, and its target, in [0, 1]."""
    images = torch.from_numpy(batch.images)
    target = (
        None if batch.target is None else torch.from_numpy(batch.target).permute(0, 3, 1, 2).float() / 255
    )
    if config.flips:
        images, target = flip(images, target, generator)
    if config.jitter > 0 or config.shift > 0:
        jittered = jitter_rgb if config.input == "rgb" else jitter_stains
        colours = ((images - 0.05) / 0.95).clamp(0, 1)
        images = normalise(jittered(colours, config.jitter, config.shift, generator))
    images = images.to(device).contiguous(memory_format=torch.channels_last)
    return images, None if target is None else target.to(device)


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
    """Compute the losses of one batch of each of R repeats.

    Parameters
    ----------
    logits : Tensor
        Of each repeat's network, (R, N, K, H, W).
    images : Tensor
        What each saw, (R, N, 3, H, W).
    config : TrainingConfig
        How the networks are trained.
    generators : sequence of torch.Generator
        Each draws a repeat's patches and anchors, on the CPU.
    target : Tensor, optional
        Weak target of the first T channels in [0, 1], (R, N, T, H, W).
    target_weight : float
        Its weight at this epoch.
    features : FeatureNetwork, optional
        For the cosine similarity.
    """
    confidence = torch.sigmoid(logits.flatten(0, 1)).view_as(logits)
    contrasted = contrast(confidence, images, config, generators, features)
    terms = [[] if loss is None else [config.contrastive_weight * loss] for loss in contrasted.losses]
    if target is not None and target_weight > 0:
        for own, guided in zip(terms, guided_losses(logits, target, config), strict=True):
            own.append(target_weight * guided)
    return [
        StepLoss(
            loss=torch.stack(own).sum() if own else None,
            skipped=config.contrastive_weight > 0 and contrasted.losses[r] is None,
            means=contrasted.means[r],
            entropies=contrasted.entropies[r],
        )
        for r, own in enumerate(terms)
    ]
