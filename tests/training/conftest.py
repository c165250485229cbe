"""Small images with dark nuclei, and a configuration that trains in a second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from painted import draw_image
from PIL import Image

from wsiseg.training.config import StainTarget, TrainingConfig


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of three images, with a folder of their masks beside it."""
    folder, masks = tmp_path / "images", tmp_path / "masks"
    folder.mkdir()
    masks.mkdir()
    for i in range(3):
        rgb, mask = draw_image(i)
        Image.fromarray(rgb).save(folder / f"field-{i}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(masks / f"field-{i}.png")
    return folder


@pytest.fixture
def config() -> TrainingConfig:
    """Two repeats of three epochs of two steps on small crops."""
    return TrainingConfig(
        preset="paper",
        classes=2,
        patch_px=24,
        stride_px=12,
        draws=8,
        crop_px=80,
        batch_size=2,
        epochs=3,
        images_once=True,
        validation_crops=3,
        validation_px=64,
        repeats=2,
        learning_rate=1e-2,
    )


@pytest.fixture
def default_target() -> StainTarget:
    """The weak target of the default preset."""
    return StainTarget(weight=1.0)


@pytest.fixture
def led(config: TrainingConfig) -> TrainingConfig:
    """Two repeats and their consensus, led by the stain."""
    return replace(
        config,
        target=StainTarget(weight=1.0, channels=(1.0, 1.0)),
        contrastive_weight=0.02,
        input="stains",
        schedule="onecycle",
        flips=True,
        jitter=0.2,
        shift=0.2,
        average=0.9,
        takes_last=True,
        threshold=0.45,
        epochs=6,
        consensus_epochs=3,
    )
