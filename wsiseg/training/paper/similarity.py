"""How alike two sets of patches are, each as one matrix product: larger means more alike."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize

from wsiseg.training.config import Similarity

# Keeps logarithms and quotients finite; far below what a confidence means.
EPS = 1e-6
BINS = 8
LUMA = (0.299, 0.587, 0.114)


def mse(first: Tensor, second: Tensor) -> Tensor:
    """Return -mean (F1 - F2)^2 of every pair: (R, D), (P, D) -> (R, P)."""
    squares = first.square().mean(1)[:, None] + second.square().mean(1)
    return 2 * (first @ second.T) / first.shape[1] - squares


def ce(first: Tensor, second: Tensor) -> Tensor:
    """Return mean [F1 log2 F2 + (1 - F1) log2 (1 - F2)] of every pair: (R, D), (P, D) -> (R, P).

    F2 is held at least 1e-6 from 0 and from 1.
    """
    kept = second.clamp(EPS, 1 - EPS)
    yes, no = torch.log2(kept), torch.log2(1 - kept)
    return (first @ (yes - no).T + no.sum(1)) / first.shape[1]


def cosine(first: Tensor, second: Tensor) -> Tensor:
    """Return the cosine of every pair of feature vectors: (R, D), (P, D) -> (R, P); 0 where one is zero."""
    return normalize(first, dim=1, eps=EPS) @ normalize(second, dim=1, eps=EPS).T


def kl(first: Tensor, second: Tensor) -> Tensor:
    """Return -mean q ln (q / r) of every pair over grey pixels: (R, D), (P, D) -> (R, P) (authors' code).

    r is the first patch and q the second, neither scaled to sum 1, held at least 1e-6 from 0.
    """
    r, q = _grey(first).clamp_min(EPS), _grey(second).clamp_min(EPS)
    return (torch.log(r) @ q.T - (q * torch.log(q)).sum(1)) / r.shape[1]


def mutual_information(first: Tensor, second: Tensor) -> Tensor:
    """Return the mutual information in bits of the values at the same places: (R, D), (P, D) -> (R, P).

    A measure of our own: the authors' code has wide Gaussian kernels on grey pixels, and its value falls with
    the number of patches compared.

    Values in [0, 1] are shared linearly between the two nearest of 8 levels, so that the joint histogram of
    all pairs is one matrix product and has a gradient.
    """
    a, b = _soft_bins(first), _soft_bins(second)
    joint = torch.einsum("rdi,pdj->rpij", a, b) / first.shape[1]
    alone = a.mean(1)[:, None, :, None] * b.mean(1)[None, :, None, :]
    return (joint * (torch.log2(joint + EPS) - torch.log2(alone + EPS))).sum((-1, -2))


SIMILARITIES: dict[Similarity, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": mse,
    "ce": ce,
    "cosine": cosine,
    "mi": mutual_information,
    "kl": kl,
}


def _grey(patches: Tensor) -> Tensor:
    """Return the luma (ITU-R BT.601) of patches flattened colour by colour: (M, 3 D) -> (M, D)."""
    return torch.einsum("mcd,c->md", patches.reshape(len(patches), 3, -1), patches.new_tensor(LUMA))


def _soft_bins(values: Tensor) -> Tensor:
    levels = torch.arange(BINS, dtype=values.dtype, device=values.device)
    place = values.clamp(0, 1) * (BINS - 1)
    return (1 - (place[..., None] - levels).abs()).clamp_min(0)
