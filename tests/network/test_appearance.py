"""Stains on a common scale: what they are, and that other laboratories look the same to the network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from skimage.color import hed_from_rgb

from wsiseg.network.appearance import (
    CENTRE,
    SPREAD,
    StainScale,
    network_input,
    stain_table,
)

Pixels = npt.NDArray[np.uint8]


def tissue(haematoxylin: float = 1.0, eosin: float = 1.0) -> Pixels:
    """Pixels of random stain strengths (100, 100, 3); the factors are a laboratory's."""
    rng = np.random.default_rng(0)
    stains = rng.uniform(0.1, 0.6, (100, 100, 3)) * np.array([haematoxylin, eosin, 0.1])
    density = stains @ np.linalg.inv(hed_from_rgb)
    return np.rint(256 * np.exp(-density) - 1).clip(0, 255).astype(np.uint8)


def test_tissue_has_mean_and_spread_of_the_common_scale() -> None:
    rgb = tissue()
    planes = (network_input(rgb, stain_table(StainScale.of(rgb))) - 0.05) / 0.95
    np.testing.assert_allclose(planes.mean((1, 2)), CENTRE, atol=0.01)
    np.testing.assert_allclose(planes.std((1, 2)), SPREAD, atol=0.01)


def test_stains_are_those_of_a_plain_computation() -> None:
    rgb = tissue()
    scale = StainScale((0.3, 0.2, 0.1), (0.2, 0.1, 0.05))
    stains = -np.log((rgb.astype(float) + 1) / 256) @ hed_from_rgb
    expected = (CENTRE + SPREAD * (stains - scale.mean) / scale.sd).clip(0, 1) * 0.95 + 0.05
    found = network_input(rgb, stain_table(scale)).transpose(1, 2, 0)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_laboratory_that_stains_twice_as_strongly_looks_the_same() -> None:
    one, other = tissue(), tissue(haematoxylin=2.0, eosin=0.5)
    seen = [network_input(rgb, stain_table(StainScale.of(rgb))) for rgb in (one, other)]
    assert np.abs(one.astype(int) - other).mean() > 20
    assert np.abs(seen[0][:2] - seen[1][:2]).mean() < 0.01


def test_glass_does_not_count_as_tissue() -> None:
    rgb = tissue()
    on_glass = np.concatenate([rgb, np.full((900, 100, 3), 245, np.uint8)])
    assert StainScale.of(on_glass) == StainScale.of(rgb)


def test_marking_dye_does_not_count_as_tissue() -> None:
    rgb = tissue()
    dyed = np.concatenate([rgb, np.full((20, 100, 3), (30, 110, 170), np.uint8)])
    assert StainScale.of(dyed) == StainScale.of(rgb)


def test_slides_without_tissue_or_pixels_have_a_scale() -> None:
    assert StainScale.of(np.zeros((0, 3), np.uint8)).sd == (1.0, 1.0, 1.0)
    white = StainScale.of(np.full((10, 10, 3), 255, np.uint8))
    assert np.isfinite(stain_table(white)).all()
