"""Generated fields: what they teach about nuclei that touch, and that they follow from the seed alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wsiseg.training.config import StainTarget, TrainingConfig
from wsiseg.training.guided.generated import GeneratedFields, exact_target, touching
from wsiseg.training.stream import CropStream

pytestmark = pytest.mark.slow


@pytest.fixture
def taught() -> TrainingConfig:
    return TrainingConfig(
        mpp=0.5,
        input="stains",
        crop_px=96,
        target=StainTarget(weight=1.0),
        generated=1.0,
        epoch_crops=4,
        batch_size=2,
        epochs=1,
    )


def test_pixels_of_two_nuclei_that_meet():
    labels = np.array([[1, 1, 2, 2], [1, 1, 0, 2], [0, 0, 0, 0], [3, 3, 3, 0]], np.int32)
    assert touching(labels).astype(int).tolist() == [[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_the_target_is_empty_between_nuclei_and_full_inside():
    labels = np.zeros((32, 48), np.int32)
    labels[4:28, 4:24] = 1
    labels[4:28, 24:44] = 2
    target = exact_target(np.full((16, 24, 3), 150, np.uint8), labels)
    assert target.shape == (16, 24, 4)
    nucleus, inside, other, glass = np.moveaxis(target, -1, 0)
    assert (nucleus[2:14, 11:13] == 0).all()
    assert (nucleus[2:14, 3:10] == 255).all()
    assert (nucleus[2:14, 14:21] == 255).all()
    assert inside[8, 6] == 255
    assert inside[8, 11] < 30
    assert (other == 255 - nucleus).all()
    assert (glass == 0).all()


def test_crops_follow_from_the_seed_alone(taught):
    def crops(config, workers):
        stream = CropStream([None], config, None, workers, generated=GeneratedFields(config))
        batches = list(stream.batches(0, 0))
        return np.concatenate([b.images for b in batches]), np.concatenate([b.target for b in batches])

    images, target = crops(taught, 1)
    assert images.shape == (4, 3, 96, 96)
    assert target.shape == (4, 96, 96, 4)
    assert 0.01 < (target[..., 0] > 127).mean() < 0.9
    again = crops(taught, 3)
    assert np.array_equal(images, again[0])
    assert np.array_equal(target, again[1])
    assert not np.array_equal(images, crops(replace(taught, seed=1), 1)[0])


def test_nuclei_are_darker_than_what_surrounds_them(taught):
    """Haematoxylin, the first plane that the network sees, stands for what the target calls nucleus."""
    fields = GeneratedFields(taught)
    images, targets = zip(*(fields.crop(np.random.default_rng(k)) for k in range(6)), strict=True)
    haematoxylin, nucleus = np.stack(images)[:, 0], np.stack(targets)[..., 0] > 127
    assert haematoxylin[nucleus].mean() > haematoxylin[~nucleus].mean() + 0.1
