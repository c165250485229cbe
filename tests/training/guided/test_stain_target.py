"""The stain's masks against scikit-image and on images one can imagine."""

from __future__ import annotations

import numpy as np
import pytest
from painted import draw_image

from wsiseg.training.config import StainTarget, TrainingConfig
from wsiseg.training.guided.consensus import stain_maker
from wsiseg.training.guided.stain_target import haematoxylin, local_mask, otsu_mask


def test_density_is_that_of_scikit_image():
    from skimage.color import rgb2hed

    rgb = np.random.default_rng(0).integers(1, 256, (20, 30, 3)).astype(np.uint8)
    assert np.allclose(haematoxylin(rgb), rgb2hed(rgb)[..., 0], atol=1e-6)


@pytest.mark.parametrize("find", [otsu_mask, lambda rgb: local_mask(rgb, StainTarget(), 0.25)])
def test_discs_are_found(find):
    rgb, mask = draw_image(1, side=240)
    found = find(rgb)
    assert 2 * (found & mask).sum() / (found.sum() + mask.sum()) > 0.85


@pytest.mark.parametrize("value", [0, 128, 255])
def test_constant_images_have_no_nuclei(value):
    rgb = np.full((64, 48, 3), value, np.uint8)
    assert not otsu_mask(rgb).any()
    assert not local_mask(rgb, StainTarget(), 0.25).any()


def test_no_target_without_weight():
    assert stain_maker(TrainingConfig()) is None
