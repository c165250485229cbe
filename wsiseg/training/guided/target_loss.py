"""The loss that leads channels to their targets; narrow gaps between nuclei can count more in it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, max_pool2d, pad

from wsiseg.training.config import TrainingConfig

GAP_REACH_UM = 1.0
"""Nuclei twice as far from each other as this have a narrow gap between them."""


def guided_losses(logits: Tensor, target: Tensor, config: TrainingConfig) -> Tensor:
    """Return the loss of each repeat: (R, N, K, H, W) and targets (R, N, T, H, W) -> (R,)."""
    counts = None
    if config.gap_weight > 0:
        counts = 1 + config.gap_weight * near_gaps(target[:, :, 0], round(GAP_REACH_UM / config.mpp))
    return target_loss(logits[:, :, : target.shape[2]], target, config.target.channels, counts)


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

    A gap is what a morphological closing fills: without it two nuclei would merge.

    Parameters
    ----------
    mask : Tensor
        (..., H, W) in [0, 1].
    reach_px : int
        Gaps are up to twice as wide; pixels as far from one are near it. 0: there are none.
    """
    planes, side = mask.reshape(-1, 1, *mask.shape[-2:]), 2 * reach_px + 1

    # Pixels beyond the border repeat it, so that they close no gap.
    def wider(x: Tensor, by: int) -> Tensor:
        return pad(x, [by] * 4, mode="replicate")

    def grown(x: Tensor) -> Tensor:
        return max_pool2d(max_pool2d(x, (1, side), stride=1), (side, 1), stride=1)

    gaps = -grown(-grown(wider(planes, 2 * reach_px))) - planes
    return grown(wider(gaps, reach_px)).view_as(mask)
