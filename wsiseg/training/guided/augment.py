"""Random changes to a crop before the network sees it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wsiseg.network.appearance import CENTRE, HED_OPTICAL_DENSITY, SPREAD

DARKEST = 1 / 255


def flip(images: Tensor, targets: Tensor | None, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """Flip and rotate each square crop at random, together with its target: (N, 3, S, S) and (N, T, S, S)."""
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


def jitter_rgb(images: Tensor, strength: float, shift: float, generator: torch.Generator) -> Tensor:
    """Scale, mix and shift the stains' densities of each image at random.

    Parameters
    ----------
    images : Tensor
        Colours in [0, 1], float (N, 3, H, W).
    strength : float
        Each stain's density is multiplied with exp(+- strength), and a tenth of that of each colour is mixed
        into the others.
    shift : float
        The density of each colour is shifted by +- shift.
    generator : torch.Generator
        Source of randomness, on the CPU.
    """
    to_rgb = torch.from_numpy(HED_OPTICAL_DENSITY)
    from_rgb = torch.from_numpy(np.linalg.inv(HED_OPTICAL_DENSITY))
    scale = torch.exp(strength * _drawn((len(images), 1, 3), generator))
    mixed = (from_rgb * scale) @ to_rgb + 0.1 * strength * _drawn((len(images), 3, 3), generator)
    moved = shift * _drawn((len(images), 3, 1, 1), generator)
    density = -torch.log(images.clamp_min(DARKEST))
    changed = torch.einsum("nchw,ncd->ndhw", density, mixed.to(images)) + moved.to(images)
    return torch.exp(-changed.clamp_min(0))


def jitter_stains(images: Tensor, strength: float, shift: float, generator: torch.Generator) -> Tensor:
    """Scale, mix and shift standardised stains (`wsiseg.network.appearance`) of each image at random.

    As `jitter_rgb`, in the stains' own standard deviations; (N, 3, H, W) in [0, 1].
    """
    scale = torch.exp(strength * _drawn((len(images), 3), generator))
    mixed = torch.diag_embed(scale) + 0.1 * strength * _drawn((len(images), 3, 3), generator)
    moved = SPREAD * shift * _drawn((len(images), 3, 1, 1), generator)
    changed = torch.einsum("nchw,ncd->ndhw", images - CENTRE, mixed.to(images)) + CENTRE + moved.to(images)
    return changed.clamp(0, 1)


def _drawn(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return even draws from (-1, 1), float64."""
    return 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1
