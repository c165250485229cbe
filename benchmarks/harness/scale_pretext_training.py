"""Training of Scale Pretext on images at 40x, and its attention on whole images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.scale_pretext import ScalePretext, ScalePretextConfig, pretext_loss

Rgb = npt.NDArray[np.uint8]

# Mean and standard deviation by which the authors scale colours (ImageNet's).
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def to_pretext_input(rgb: Tensor) -> Tensor:
    """Scale colours in [0, 1] as the network expects them, (N, 3, H, W)."""
    mean, spread = (rgb.new_tensor(values)[:, None, None] for values in (MEAN, SPREAD))
    return (rgb - mean) / spread


def draw_patches(
    images: Sequence[Rgb], config: ScalePretextConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw patches at random places and magnifications: float (N, 3, S, S) in [0, 1], int64 (N,)."""
    import cv2

    which = torch.randint(len(images), (config.batch_size,), generator=generator).tolist()
    scales = torch.randint(len(config.factors), (config.batch_size,), generator=generator)
    patches = []
    for i, scale in zip(which, scales.tolist(), strict=True):
        side = config.patch_px * config.factors[scale]
        height, width = images[i].shape[:2]
        if side > min(height, width):
            raise ValueError(
                f"an image of {width} x {height} px has no patch of {side} px; leave out the magnification"
            )
        row = int(torch.randint(height - side + 1, (1,), generator=generator))
        col = int(torch.randint(width - side + 1, (1,), generator=generator))
        patch = images[i][row : row + side, col : col + side]
        size = (config.patch_px, config.patch_px)
        patches.append(cv2.resize(patch, size, interpolation=cv2.INTER_AREA))
    return torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2).float() / 255, scales


def train_scale_pretext(
    images: Sequence[Rgb],
    config: ScalePretextConfig,
    *,
    device: str = "cpu",
    after_step: Callable[[int, float], bool] = lambda step, loss: True,
) -> ScalePretext:
    """Train on images at 40x (0.25 um per pixel), without labels.

    Parameters
    ----------
    images : sequence of uint8 (H, W, 3)
        At least `patch_px` times the largest factor on each side.
    config : ScalePretextConfig
    device : str
        A torch device.
    after_step : callable
        Is told the number of steps done and the loss; training ends early where it returns False.

    Returns
    -------
    ScalePretext
        In evaluation mode, on the CPU.
    """
    generator = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = ScalePretext(config).to(device).train()
    optimiser = torch.optim.Adam(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    for step in range(1, config.steps + 1):
        patches, scales = draw_patches(images, config, generator)
        loss = pretext_loss(
            network, to_pretext_input(patches).to(device), scales.to(device), config, generator
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if not after_step(step, loss.item()):
            break
    return network.cpu().eval()


def attention_of(network: ScalePretext, rgb: Rgb) -> npt.NDArray[np.float32]:
    """Return the attention of a whole image as confidence, uint8 (H, W, 3) -> float32 (H, W) in [0, 1]."""
    device = next(network.parameters()).device
    x = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        attention: npt.NDArray[np.float32] = (
            network.attend(to_pretext_input(x).to(device))[0, 0].cpu().numpy()
        )
    return attention
