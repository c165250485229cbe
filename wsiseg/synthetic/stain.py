"""Stain, light and ink of a synthetic slide: drawn once a slide, around what haematoxylin and eosin do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

OD_STEPS = 1024
OD_MAX = 4.0


def stain_matrix(seed: int, variation: float) -> npt.NDArray[np.float32]:
    """Draw the optical densities (decadic) of unit haematoxylin, unit eosin and ink: (3, 3), rows are stains.

    `variation` scales how far the draw lies from the middle; the strengths are part of the vectors.
    Beer-Lambert: light = glass * 10 ** -(concentrations @ matrix).
    """
    rng = np.random.default_rng([seed, 2])
    haematoxylin = np.array([0.58, 0.73, 0.36]) + variation * rng.normal(0.0, [0.035, 0.03, 0.045])
    eosin = np.array([0.11, 0.86, 0.47]) + variation * rng.normal(0.0, [0.04, 0.04, 0.07])
    strength = np.exp(variation * rng.normal(0.0, [0.30, 0.30]).clip(-0.6, 0.6))
    haematoxylin *= strength[0] / np.linalg.norm(haematoxylin)
    eosin *= 0.95 * strength[1] / np.linalg.norm(eosin)
    inks = np.array([[1.3, 0.75, 0.15], [1.2, 0.45, 0.75], [1.1, 1.15, 1.1], [0.15, 1.2, 1.0]])
    return np.stack([haematoxylin, eosin, inks[rng.integers(len(inks))]]).astype(np.float32)


def glass_colour(seed: int) -> npt.NDArray[np.float32]:
    """Draw the colour of empty glass, (3,) on the scale 0..255."""
    rng = np.random.default_rng([seed, 3])
    return (rng.uniform(236.0, 249.0) + rng.normal(0.0, 1.6, 3)).clip(225.0, 252.0).astype(np.float32)


def transmission() -> npt.NDArray[np.float32]:
    """Tabulate 10 ** -density at steps of 1 / `OD_STEPS` from 0 to `OD_MAX`."""
    return (10.0 ** -(np.arange(int(OD_STEPS * OD_MAX) + 1) / OD_STEPS)).astype(np.float32)
