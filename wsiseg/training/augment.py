"""What is changed about a crop before the network sees it."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from wsiseg.training.stain_target import RGB_FROM_HED

DARKEST = 1 / 255


def flip(images: Tensor, targets: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """Flip and turn each square crop at random, its target with it: (N, 3, S, S) and (N, T, S, S)."""
    choices = torch.randint(0, 2, (len(images), 3), generator=generator).tolist()
    turned = torch.stack([_turned(image, *choice) for image, choice in zip(images, choices, strict=True)])
    if targets is None:
        return turned, None
    both = [_turned(target, *choice) for target, choice in zip(targets, choices, strict=True)]
    return turned, torch.stack(both)


def _turned(image: Tensor, rows: int, cols: int, swapped: int) -> Tensor:
    axes = [axis for axis, chosen in ((-2, rows), (-1, cols)) if chosen]
    image = image.flip(axes) if axes else image
    return image.transpose(-1, -2) if swapped else image


def jitter_stain(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Scale and shift the densities of the three stains of each crop at random.

    Parameters
    ----------
    images : Tensor
        Colours in [0, 1], float (N, 3, H, W).
    strength : float
        Each density is multiplied with 1 +- strength and shifted by +- strength / 10, evenly distributed.
    generator : torch.Generator
        Source of randomness, on the CPU.
    """
    drawn = 2 * torch.rand((len(images), 2, 3), generator=generator, dtype=torch.float64) - 1
    to_rgb = torch.from_numpy(RGB_FROM_HED)
    from_rgb = torch.from_numpy(np.linalg.inv(RGB_FROM_HED))
    scale, shift = 1 + strength * drawn[:, 0], strength / 10 * drawn[:, 1]
    mixed = (from_rgb * scale[:, None, :]) @ to_rgb
    moved = shift @ to_rgb * -math.log(DARKEST)
    density = -torch.log(images.clamp_min(DARKEST))
    mixed, moved = mixed.to(images), moved.to(images)
    changed = torch.einsum("nchw,ncd->ndhw", density, mixed) + moved[:, :, None, None]
    return torch.exp(-changed).clamp(0, 1)
