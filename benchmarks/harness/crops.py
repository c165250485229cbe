"""Crops of tissue as a network is to see them: any size, focus, noise, compression, stain and way up."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from harness.pools import Tissue
from wsiseg.network.appearance import network_input
from wsiseg.network.fcnn import normalise
from wsiseg.training.guided.augment import flip, jitter_stains
from wsiseg.training.guided.stain_target import target_planes

ZOOM = (0.7, 1.35)
JITTER, SHIFT = 0.45, 0.5
LARGEST_UM2 = 3e5
TRIES = 4


@dataclass
class Pool:
    """Tissue of one kind and the share of crops drawn from it; larger images more often, up to a size."""

    tissue: list[Tissue]
    share: float

    def drawn(self, rng: np.random.Generator) -> Tissue:
        """Return one of them by chance."""
        sizes = [min(t.nucleus.size * t.mpp**2, LARGEST_UM2) ** 0.5 for t in self.tissue]
        return self.tissue[rng.choice(len(sizes), p=np.array(sizes) / sum(sizes))]


def batch(
    pools: list[Pool],
    count: int,
    side_px: int,
    mpp: float,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return images (N, 3, S, S), targets (N, 4, S, S) and the worth of each pixel (N, S, S)."""
    shares = np.array([pool.share for pool in pools])
    chosen = rng.choice(len(pools), count, p=shares / shares.sum())
    crops = [_crop(pools[k].drawn(rng), side_px, mpp, rng) for k in chosen]
    images, targets = (torch.from_numpy(np.stack(planes)) for planes in zip(*crops, strict=True))
    images, turned = flip(images, targets, generator)
    assert turned is not None
    jittered = jitter_stains(((images - 0.05) / 0.95).clamp(0, 1), JITTER, SHIFT, generator)
    return normalise(jittered), turned[:, :4], turned[:, 4]


def _crop(
    tissue: Tissue, side_px: int, mpp: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return what is seen, float32 (3, S, S), and four targets with their worth, float32 (5, S, S)."""
    height, width = tissue.nucleus.shape
    zoom = np.exp(rng.uniform(*np.log(ZOOM)))
    side = min(round(side_px * mpp / tissue.mpp / zoom), height, width)
    for _ in range(TRIES):
        y, x = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        window = (slice(y, y + side), slice(x, x + side))
        if tissue.nucleus[window][::8, ::8].mean() > 8:
            break
    how = cv2.INTER_AREA if side > side_px else cv2.INTER_LINEAR

    def scaled(values: np.ndarray) -> np.ndarray:
        return cv2.resize(values[window], (side_px, side_px), interpolation=how)

    pixels = _scanned(scaled(tissue.pixels), rng)
    nucleus, inside = scaled(tissue.nucleus) / 255, scaled(tissue.inside) / 255
    planes = np.dstack([target_planes(pixels, nucleus, inside), scaled(tissue.worth)])
    return network_input(pixels, tissue.table), planes.transpose(2, 0, 1).astype(np.float32) / 255


def _scanned(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return pixels blurred or sharpened, noisy, of another gamma, compressed: each by chance."""
    light, chance = pixels.astype(np.float32), rng.random(4)
    if chance[0] < 0.4:
        light = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.3, 1.0))
    elif chance[0] < 0.6:
        light = light + rng.uniform(0.3, 1.2) * (
            light - cv2.GaussianBlur(light, (0, 0), rng.uniform(0.6, 1.2))
        )
    if chance[1] < 0.4:
        light = light + rng.normal(0, rng.uniform(0, 7), light.shape)
    if chance[2] < 0.4:
        light = 255 * np.clip(light / 255, 0, 1) ** np.exp(rng.uniform(-0.35, 0.35))
    seen = np.rint(light).clip(0, 255).astype(np.uint8)
    if chance[3] < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))]
        seen = cv2.imdecode(cv2.imencode(".jpg", seen, quality)[1], cv2.IMREAD_COLOR)
    return seen
