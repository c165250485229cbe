"""The contrastive losses of eq. 7-9 on similarities, in the paper's form and in that of the authors' code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from wsiseg.training.config import Inter


@dataclass(frozen=True)
class Patches:
    """Patches of all classes, pooled over a batch.

    Parameters
    ----------
    features : Tensor
        (M, D): what is compared, usually the pixels of image times confidence.
    classes : Tensor
        int64 (M,): the class on whose map a patch was drawn.
    positive : Tensor
        bool (M,): whether it is a positive of its class.
    """

    features: Tensor
    classes: Tensor
    positive: Tensor


def intra_loss(to_positives: Tensor, to_negatives: Tensor, scale: float) -> Tensor:
    """Return -scale * sum_{r,p} log( exp s(r,p) / sum_n exp s(r,n) ) (eq. 7).

    Parameters
    ----------
    to_positives : Tensor
        s(r, p), (R, P).
    to_negatives : Tensor
        s(r, n), (R, N).
    scale : float
        Factor of the sum.
    """
    return -scale * (to_positives - to_negatives.logsumexp(1, keepdim=True)).sum()


def inter_loss(to_positives: Tensor, to_others: Tensor, scale: float, inter: Inter) -> Tensor:
    """Return -scale * sum_{r,p} of exp s(r,p) / sum_{q of other classes} exp s(r,q), or of its log (eq. 8).

    Parameters
    ----------
    to_positives : Tensor
        s(r, p), (R, P).
    to_others : Tensor
        s(r, q) to the positives of all other classes, (R, Q).
    scale : float
        Factor of the sum.
    inter : {"log", "ratio"}
        "ratio" is the paper's equation, "log" what the authors' code computes.
    """
    log_ratio = to_positives - to_others.logsumexp(1, keepdim=True)
    return -scale * (log_ratio if inter == "log" else log_ratio.exp()).sum()


def can_contrast(classes: Tensor, positive: Tensor, count: int) -> bool:
    """Whether every one of `count` classes has a positive and a negative; if not, the step is skipped."""
    kinds = torch.bincount(2 * classes + positive.long(), minlength=2 * count)
    return bool((kinds > 0).all())


def contrastive_loss(
    patches: Patches,
    count: int,
    similarity: Callable[[Tensor, Tensor], Tensor],
    inter: Inter,
    *,
    anchors: int = 0,
    images: int = 1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return L = sum_k intra_k + inter_k (eq. 9).

    Parameters
    ----------
    patches : Patches
        Every class must have a positive and a negative (`can_contrast`).
    count : int
        K, the number of classes.
    similarity : callable
        (R, D), (M, D) -> (R, M), larger for more alike.
    inter : {"log", "ratio"}
        Form of eq. 8.
    anchors : int
        0, as in the paper: r runs over all positives and sums are divided by |P_k|^2. Otherwise, as in the
        authors' code: r runs over that many positives drawn with replacement, and sums are divided by
        `anchors`^2 and by `images`.
    images : int
        Images in the batch.
    generator : torch.Generator, optional
        Draws the anchors, on the CPU.
    """
    positives = [_where(patches.classes, patches.positive, k, True) for k in range(count)]
    negatives = [_where(patches.classes, patches.positive, k, False) for k in range(count)]
    rows = [p if anchors == 0 else _draw(p, anchors, generator) for p in positives]
    features = patches.features
    table = similarity(features[torch.cat(rows).to(features.device)], features)
    loss = table.new_zeros(())
    for k, block in enumerate(torch.split(table, [len(r) for r in rows])):
        scale = 1 / anchors**2 / images if anchors else 1 / len(positives[k]) ** 2
        to_positives = block[:, positives[k]]
        loss = loss + intra_loss(to_positives, block[:, negatives[k]], scale)
        if count > 1:
            others = torch.cat([positives[i] for i in range(count) if i != k])
            loss = loss + inter_loss(to_positives, block[:, others], scale, inter)
    return loss


def _where(classes: Tensor, positive: Tensor, k: int, wanted: bool) -> Tensor:
    return torch.nonzero((classes == k) & (positive == wanted)).flatten().cpu()


def _draw(candidates: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    return candidates[torch.randint(len(candidates), (n,), generator=generator)]
