"""Patches of image times confidence, all classes at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from wsiseg.training.paper.sampler import Draw


class Places(NamedTuple):
    """Where the drawn patches lie: int64 (M,) each, `row` and `col` of the top left pixel."""

    image: Tensor
    klass: Tensor
    row: Tensor
    col: Tensor
    positive: Tensor


def places(draw: Draw, corners: Tensor) -> Places:
    """Return the places of all valid draws, given the corners (C, 2) of the candidates."""
    image, klass, nth = torch.nonzero(draw.valid, as_tuple=True)
    row, col = corners[draw.index[image, klass, nth]].T
    return Places(image, klass, row, col, draw.positive[image, klass, nth])


def gather_patches(images: Tensor, confidence: Tensor, where: Places, patch_px: int) -> Tensor:
    """Return image times confidence on patches: (N, 3, H, W), (N, K, H, W) -> (M, 3, patch, patch).

    One index operation for all patches: a slice for each would write a gradient of full size for each.
    """
    device = confidence.device
    image, klass, row, col = (x.to(device) for x in where[:4])
    span = torch.arange(patch_px, device=device)
    rows = (row[:, None] + span)[:, :, None]
    cols = (col[:, None] + span)[:, None, :]
    weight = confidence[image[:, None, None], klass[:, None, None], rows, cols]
    colours = images.permute(0, 2, 3, 1)[image[:, None, None], rows, cols]
    return colours.permute(0, 3, 1, 2) * weight[:, None]


def joined(places_of_each: Sequence[Places], numbers: Sequence[int], images: int) -> Places:
    """Return places in batches of so many images each, given their numbers, as places in all of them."""
    shifted = [
        where._replace(image=where.image + number * images)
        for where, number in zip(places_of_each, numbers, strict=True)
    ]
    return Places(*(torch.cat(axis) for axis in zip(*shifted, strict=True)))
