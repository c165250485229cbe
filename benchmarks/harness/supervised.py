"""The confidence network trained with labels: the row that label-free training is measured against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from wsiseg.network.fcnn import FCNN, normalise

Rgb = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Augment = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class SupervisedConfig:
    """How the supervised network is trained.

    Parameters
    ----------
    epochs : int
        Passes over the images, one crop each.
    crop_px, batch_size : int
        Side of a crop; crops a step.
    learning_rate : float
        Peak of a one-cycle schedule.
    weight_decay : float
        Of Adam.
    seed : int
        Draws weights, crops and augmentation.
    """

    epochs: int = 80
    crop_px: int = 300
    batch_size: int = 10
    learning_rate: float = 5e-3
    weight_decay: float = 1e-4
    seed: int = 0


def train_supervised(
    images: Sequence[Rgb],
    masks: Sequence[Mask],
    config: SupervisedConfig,
    *,
    augment: Augment | None = None,
    device: str = "cpu",
    after_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
) -> FCNN:
    """Train a network of one channel with cross-entropy and Dice on labelled images.

    Parameters
    ----------
    images : sequence of uint8 (H, W, 3)
        At least as large as a crop.
    masks : sequence of bool (H, W)
        Where their nuclei are.
    config : SupervisedConfig
    augment : callable, optional
        Changes the colours of a batch in [0, 1], float (N, 3, S, S), with a generator on the CPU.
    device : str
        A torch device.
    after_epoch : callable
        Is told the number of epochs done and the mean loss of the last.

    Returns
    -------
    FCNN
        In evaluation mode, on the CPU; the same settings give the same network.
    """
    generator = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = FCNN(1).to(device)
    optimiser = torch.optim.Adam(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    steps = -(-len(images) // config.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, epochs=config.epochs, steps_per_epoch=steps, pct_start=0.15
    )
    for epoch in range(config.epochs):
        losses = []
        order = torch.randperm(len(images), generator=generator).tolist()
        for start in range(0, len(images), config.batch_size):
            chosen = order[start : start + config.batch_size]
            crops = [_crop(images[i], masks[i], config.crop_px, generator) for i in chosen]
            pixels = torch.stack([crop for crop, _ in crops])
            if augment is not None:
                pixels = augment(pixels, generator)
            target = torch.stack([mask for _, mask in crops]).to(device)
            logits = network.logits(
                normalise(pixels).to(device).contiguous(memory_format=torch.channels_last)
            )
            loss = mask_loss(logits[:, 0], target)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        after_epoch(epoch + 1, float(np.mean(losses)))
    return network.cpu().eval()


def mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return cross-entropy + 1 - Dice of soft masks over the batch: (N, H, W) each."""
    confidence = torch.sigmoid(logits)
    shared, total = (confidence * target).sum(), confidence.square().sum() + target.sum()
    return binary_cross_entropy_with_logits(logits, target) + 1 - (2 * shared + 1) / (total + 1)


def _crop(rgb: Rgb, mask: Mask, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return a crop at a random place, flipped and turned at random: float (3, S, S) in [0, 1], (S, S)."""
    height, width = mask.shape
    row = int(torch.randint(height - side + 1, (1,), generator=generator))
    col = int(torch.randint(width - side + 1, (1,), generator=generator))
    window = np.s_[row : row + side, col : col + side]
    both = np.concatenate([rgb[window], np.where(mask[window], 255, 0)[..., None].astype(np.uint8)], axis=2)
    turns, flipped = torch.randint(0, 4, (2,), generator=generator).tolist()
    both = np.rot90(both, turns)
    both = both[:, ::-1] if flipped % 2 else both
    values = torch.from_numpy(np.ascontiguousarray(both)).permute(2, 0, 1).float() / 255
    return values[:3], values[3]
