"""Haematoxylin density against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import hed_from_rgb, rgb2hed

from wsiseg.slides.stain import DENSITY_AT_255, HAEMATOXYLIN, haematoxylin_density


def test_the_constants_are_scikit_images() -> None:
    np.testing.assert_allclose(HAEMATOXYLIN, hed_from_rgb[:, 0], rtol=1e-7)


def test_equals_rgb2hed_to_rounding() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (301, 203, 3), dtype=np.uint8)
    rgb[:2, :2] = [[[0, 0, 0], [255, 255, 255]], [[255, 0, 0], [0, 0, 255]]]
    expected = np.clip(rgb2hed(rgb)[..., 0] / DENSITY_AT_255 * 255, 0, 255)
    density = haematoxylin_density(rgb)
    assert density.dtype == np.uint8
    assert density.shape == (301, 203)
    assert np.abs(density - expected).max() <= 0.5 + 1e-3


def test_takes_views_and_read_only_arrays() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    expected = haematoxylin_density(rgb)
    np.testing.assert_array_equal(haematoxylin_density(rgb[::2, ::3]), expected[::2, ::3])
    rgb.flags.writeable = False
    np.testing.assert_array_equal(haematoxylin_density(rgb), expected)


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 0, 3), (1, 1, 3)])
def test_empty_and_tiny(shape: tuple[int, int, int]) -> None:
    assert haematoxylin_density(np.zeros(shape, np.uint8)).shape == shape[:2]
