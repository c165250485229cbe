"""A field of glandular tissue, as a scanner sees it, and the labels of its nuclei."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from wsiseg.synthetic.glandular.canvas import Canvas, ramp
from wsiseg.synthetic.glandular.epithelium import EMPTY, Glands, draw_glands
from wsiseg.synthetic.glandular.stroma import (
    Kind,
    paint_stroma,
    scatter_cells,
    spill_blood,
    sprinkle_debris,
)
from wsiseg.synthetic.stain import glass_colour, stain_matrix

KINDS: tuple[Kind, ...] = ("fibres", "loose", "muscle")
# What is left of a nucleus below others.
LEAST_UM2 = 5.0


def draw_field(side_px: int, mpp: float, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Draw crypts of crowded long nuclei, solid sheets, muscle or loose stroma.

    Parameters
    ----------
    side_px : int
    mpp : float
        Micrometres per pixel.
    seed : int
        The same seed, size and resolution give the same field.

    Returns
    -------
    uint8 (side, side, 3)
        Colours.
    int32 (side, side)
        0 background, else the number of a nucleus; those that lie over each other share no pixel.
    """
    rng = np.random.default_rng([seed, 97])
    canvas = Canvas(side_px, mpp, rng)
    kind = cast(Kind, str(rng.choice(KINDS, p=[0.5, 0.35, 0.15])))
    paint_stroma(canvas, kind)
    glands = draw_glands(canvas) if kind != "muscle" or rng.random() < 0.3 else None
    outside = np.ones(canvas.labels.shape, bool) if glands is None else ~glands.mask
    if rng.random() < 0.35:
        spill_blood(canvas, outside & (canvas.noise(14) > rng.uniform(0.6, 1.5)))
    scatter_cells(canvas, outside & (canvas.eosin > 0.5 * np.median(canvas.eosin)), kind)
    _sprinkle(canvas, outside, glands)
    labels = canvas.labels.copy()
    light = _developed(canvas, labels)
    area_um2 = np.bincount(labels.ravel()) * mpp**2
    labels[(area_um2 < LEAST_UM2)[labels]] = 0
    return np.rint(light).clip(0, 255).astype(np.uint8), labels


def _sprinkle(canvas: Canvas, outside: npt.NDArray[np.bool_], glands: Glands | None) -> None:
    rng = canvas.rng
    if glands is not None and glands.content != EMPTY and rng.random() < 0.6:
        sprinkle_debris(canvas, glands.lumen > 0.5, int(rng.integers(5, 120)))
    if rng.random() < 0.25:
        sprinkle_debris(canvas, outside, int(rng.integers(5, 40)))


def _developed(canvas: Canvas, labels: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """Return the light through the stains; some fields have blots of ink, from which nuclei are dropped."""
    rng, side = canvas.rng, canvas.side_px
    lens_px = max(canvas.px(rng.uniform(0.18, 0.5)), 0.3)
    stains = [
        np.asarray(cv2.GaussianBlur(np.maximum(plane, 0), (0, 0), lens_px), np.float32)
        for plane in (canvas.haematoxylin, canvas.eosin)
    ]
    strength = 1 + 0.12 * canvas.noise(60)
    vectors = stain_matrix(int(rng.integers(2**31)), 1.0)
    density = sum((plane * strength)[..., None] * vectors[k] for k, plane in enumerate(stains))
    if rng.random() < 0.08:
        blot = ramp(canvas.noise(15), 1.6, 1.8)
        density = density + blot[..., None] * rng.uniform(0.1, 1.3, 3).astype(np.float32)
        labels[blot > 0.5] = 0
    glass = glass_colour(int(rng.integers(2**31)))
    noise = rng.normal(0, rng.uniform(0.5, 4), (side, side, 3))
    light: npt.NDArray[np.float64] = glass * 10 ** -np.asarray(density) + noise
    return light
