"""A run of `fit` that takes a second: two repeats of two epochs on two pictures of noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from wsiseg.api import fit
from wsiseg.training.config import TrainingConfig
from wsiseg.training.fit_config import FitConfig

CONFIG = TrainingConfig(
    classes=2, patch_px=24, stride_px=12, crop_px=80, batch_size=2, epochs=2, images_once=True,
    validation_crops=2, validation_px=64, repeats=2,
)  # fmt: skip


def small_fit(images: Path, output: Path) -> None:
    """Draw the pictures into the folder `images`, and learn from them."""
    generator = np.random.default_rng(0)
    for i in range(2):
        pixels = generator.integers(60, 240, (100, 110, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(images / f"field-{i}.png")
    fit(images, output, slide_mpp=0.25, config=FitConfig(CONFIG, threads=1, workers=1))
