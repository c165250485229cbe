"""Which patches of the confidence maps are compared: the entropy-based sampler (eq. 1-4) and its rivals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from wsiseg.training.config import Sampler

# Authors' code: a patch of maximal entropy can still be drawn.
MIN_WEIGHT = 0.001
TOP = 50


@dataclass(frozen=True)
class Draw:
    """Patches drawn on the candidate grid.

    Parameters
    ----------
    index : Tensor
        int64 (N, K, M): candidate of each draw, in row-major order of the grid.
    positive : Tensor
        bool (N, K, M): whether the draw is a positive of its class, else a negative.
    valid : Tensor
        bool (N, K, M): False for a draw that is no patch (the sentinel); it is left out.
    """

    index: Tensor
    positive: Tensor
    valid: Tensor


def binary_entropy(confidence: Tensor) -> Tensor:
    """Return the entropy of each confidence in bits (eq. 2), exactly 0 at 0 and at 1."""
    other = 1 - confidence
    return (torch.xlogy(confidence, confidence) + torch.xlogy(other, other)) / -math.log(2)


def patch_means(maps: Tensor, patch_px: int, stride_px: int) -> Tensor:
    """Return the mean of every candidate patch: (N, K, H, W) -> (N, K, rows * cols) (eq. 1 and 2)."""
    return avg_pool2d(maps, patch_px, stride_px).flatten(2)


def patch_corners(height: int, width: int, patch_px: int, stride_px: int) -> Tensor:
    """Return the top left (row, col) of every candidate patch, int64 (rows * cols, 2), in row-major order."""
    rows = torch.arange(0, height - patch_px + 1, stride_px)
    cols = torch.arange(0, width - patch_px + 1, stride_px)
    return torch.cartesian_prod(rows, cols)


def draw_weighted(weights: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw n indices with replacement along the last axis, with probability proportional to the weights.

    Parameters
    ----------
    weights : Tensor
        Non-negative (..., C); a row of zeros is drawn from evenly.
    n : int
        Draws per row.
    generator : torch.Generator
        Source of randomness, on the CPU.

    Returns
    -------
    Tensor
        int64 (..., n).
    """
    weights = weights.double()
    weights = torch.where(weights.sum(-1, keepdim=True) > 0, weights, torch.ones_like(weights))
    cumulated = weights.cumsum(-1)
    uniform = torch.rand((*weights.shape[:-1], n), generator=generator, dtype=torch.float64)
    found = torch.searchsorted(cumulated, uniform * cumulated[..., -1:], right=True)
    # Rounding may put a draw on the total itself: the last candidate that has a weight takes it.
    last = weights.shape[-1] - 1 - (weights.flip(-1) > 0).int().argmax(-1, keepdim=True)
    return torch.minimum(found, last)


def entropy_sampler(confidence: Tensor, entropy: Tensor, n: int, generator: torch.Generator) -> Draw:
    """Draw certain patches, positive with the probability of their mean confidence (eq. 3 and 4).

    Each candidate of each image and class has one coin, so that a patch drawn twice has one sign.
    """
    index = draw_weighted((1 - entropy).clamp_min(MIN_WEIGHT), n, generator)
    coin = torch.rand(confidence.shape, generator=generator, dtype=torch.float64)
    positive = (coin < confidence).gather(-1, index)
    return Draw(index, positive, torch.ones_like(positive))


def uniform_sampler(confidence: Tensor, entropy: Tensor, n: int, generator: torch.Generator) -> Draw:
    """Draw positives and negatives alike, every patch as likely as any other (authors' code)."""
    even = torch.ones_like(confidence)
    return _apart(draw_weighted(even, n, generator), draw_weighted(even, n, generator))


def probabilistic_sampler(confidence: Tensor, entropy: Tensor, n: int, generator: torch.Generator) -> Draw:
    """Draw positives by confidence p over its sum, negatives by what is left of 1 (authors' code)."""
    share = _share(confidence)
    return _apart(draw_weighted(share, n, generator), draw_weighted(1 - share, n, generator))


def sentinel_sampler(confidence: Tensor, entropy: Tensor, n: int, generator: torch.Generator) -> Draw:
    """Draw as `probabilistic_sampler` with one candidate more, of confidence 1 and no patch (authors' code).

    Where all patches are of low confidence it is drawn most of the time, and there are few positives.
    """
    share = _share(pad(confidence, (0, 1), value=1.0))
    both = _apart(draw_weighted(share, n, generator), draw_weighted(1 - share, n, generator))
    candidates = confidence.shape[-1]
    return Draw(both.index.clamp_max(candidates - 1), both.positive, both.index < candidates)


def top_sampler(confidence: Tensor, entropy: Tensor, n: int, generator: torch.Generator) -> Draw:
    """Draw positives evenly among the 50 most confident patches, negatives among the rest (authors' code)."""
    top = min(TOP, max(1, confidence.shape[-1] // 2))
    chosen = torch.zeros_like(confidence).scatter(-1, confidence.topk(top).indices, 1.0)
    return _apart(draw_weighted(chosen, n, generator), draw_weighted(1 - chosen, n, generator))


SAMPLERS: dict[Sampler, Callable[[Tensor, Tensor, int, torch.Generator], Draw]] = {
    "entropy": entropy_sampler,
    "uniform": uniform_sampler,
    "probabilistic": probabilistic_sampler,
    "sentinel": sentinel_sampler,
    "top": top_sampler,
}


def draw_patches(
    confidence: Tensor, sampler: Sampler, patch_px: int, stride_px: int, n: int, generator: torch.Generator
) -> tuple[Draw, Tensor, Tensor]:
    """Draw patches on confidence maps.

    Parameters
    ----------
    confidence : Tensor
        (N, K, H, W) in [0, 1]; nothing is differentiated here.
    sampler : str
        Name of one of `SAMPLERS`.
    patch_px, stride_px : int
        Side of a patch and step of the grid of candidates.
    n : int
        Draws per image and class.
    generator : torch.Generator
        Source of randomness, on the CPU.

    Returns
    -------
    draw : Draw
        What was drawn, on the CPU.
    means, entropies : Tensor
        A and B of every candidate, (N, K, C), on the CPU.
    """
    means, entropies = patch_statistics(confidence, patch_px, stride_px)
    return SAMPLERS[sampler](means, entropies, n, generator), means, entropies


def patch_statistics(confidence: Tensor, patch_px: int, stride_px: int) -> tuple[Tensor, Tensor]:
    """Return A and B of every candidate: (N, K, H, W) -> float64 (N, K, C) each, on the CPU."""
    with torch.no_grad():
        means = patch_means(confidence, patch_px, stride_px)
        entropies = patch_means(binary_entropy(confidence), patch_px, stride_px)
        both = torch.stack([means, entropies]).cpu().double()
    return both[0], both[1]


def _share(confidence: Tensor) -> Tensor:
    total = confidence.sum(-1, keepdim=True)
    return torch.where(total > 0, confidence / total, torch.full_like(confidence, 1 / confidence.shape[-1]))


def _apart(positives: Tensor, negatives: Tensor) -> Draw:
    index = torch.cat([positives, negatives], -1)
    positive = torch.zeros(index.shape, dtype=torch.bool)
    positive[..., : positives.shape[-1]] = True
    return Draw(index, positive, torch.ones_like(positive))
