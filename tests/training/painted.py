"""Images with dark nuclei, painted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

PINK, PURPLE = (230, 170, 200), (90, 50, 140)


def draw_image(seed: int, side: int = 112) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Return an image of purple discs on pink, (side, side + 8, 3), and where the discs are."""
    generator = np.random.default_rng(seed)
    rows, cols = np.mgrid[:side, : side + 8]
    mask = np.zeros(rows.shape, bool)
    for _ in range(12):
        row, col = generator.uniform(0, side, 2)
        mask |= (rows - row) ** 2 + (cols - col) ** 2 < generator.uniform(25, 64)
    rgb = np.where(mask[..., None], PURPLE, PINK) + generator.normal(0, 8, (*mask.shape, 3))
    return rgb.clip(0, 255).astype(np.uint8), mask
