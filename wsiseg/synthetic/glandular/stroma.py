"""What lies between glands: fibres, muscle or loose tissue, blood, and their cells."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from wsiseg.synthetic.glandular.canvas import Canvas, directions, ramp, smooth_noise

Kind = Literal["fibres", "loose", "muscle"]
Mask = npt.NDArray[np.bool_]
LYMPHOCYTE, THIN, OVAL, LONG = range(4)
# The share of each, and all per um2 before crowding thins them out.
CELLS = {"fibres": (0.35, 0.4, 0.25, 0), "loose": (0.5, 0.3, 0.2, 0), "muscle": (0.05, 0.05, 0.05, 0.85)}
DENSITY_UM2 = {"fibres": 0.012, "loose": 0.018, "muscle": 0.005}


def paint_stroma(canvas: Canvas, kind: Kind) -> None:
    """Paint fibres over the whole canvas, and note their direction."""
    rng, side = canvas.rng, canvas.side_px
    angle, wave = rng.uniform(0, np.pi), canvas.px(rng.uniform(8, 40))
    drawn = (int(1.5 * side), int(1.5 * side))
    fibre = smooth_noise(rng, drawn, canvas.px(0.7), rng.uniform(8, 20))
    band = smooth_noise(rng, drawn, canvas.px(3), rng.uniform(5, 12))
    rows, cols = np.mgrid[0:side, 0:side].astype(np.float32) - np.float32(side / 2)
    cos, sin = np.cos(angle), np.sin(angle)
    along = cols * cos + rows * sin + canvas.noise(30) * wave * 0.35
    across = rows * cos - cols * sin + canvas.noise(30) * wave * 0.35
    x, y = ((v + 0.75 * side).astype(np.float32) for v in (along, across))
    fibre, band = (
        np.asarray(cv2.remap(v, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.float32)
        for v in (fibre, band)
    )
    rise_x, rise_y = directions(across)
    canvas.fibre = np.arctan2(-rise_x, rise_y)
    gap = ramp(-band - 0.5 * fibre, rng.uniform(0.4, 1.8) if kind != "muscle" else 2.0, 2.6)
    eosin, haematoxylin = rng.uniform(0.12, 0.4), rng.uniform(0.02, 0.14)
    if kind == "muscle":
        eosin = rng.uniform(0.2, 0.5)
    if kind == "loose":
        gap = np.maximum(gap, 0.8 * ramp(canvas.mottle + 0.6 * canvas.noise(2), -0.6, 0.8))
    shade = 1 + 0.18 * fibre + 0.15 * band + 0.12 * canvas.grain
    canvas.eosin[:] = np.maximum(eosin * shade, 0) * (1 - 0.92 * gap)
    shade = haematoxylin * (1 + 0.4 * fibre + 0.4 * canvas.grain) + 0.02 * canvas.mottle
    canvas.haematoxylin[:] = np.maximum(shade, 0) * (1 - 0.95 * gap)


def scatter_cells(canvas: Canvas, where: Mask, kind: Kind) -> None:
    """Lay the cells between glands, in clumps."""
    rng = canvas.rng
    density_um2 = DENSITY_UM2[kind] * rng.choice([0.5, 1, 2])
    rows, cols = np.nonzero(where[::4, ::4])
    if not len(rows):
        return
    wanted = int(len(rows) * 16 * canvas.mpp**2 * density_um2)
    clumps = canvas.noise(22)
    for _ in range(wanted):
        k = rng.integers(len(rows))
        x_px, y_px = cols[k] * 4 + rng.uniform(0, 4), rows[k] * 4 + rng.uniform(0, 4)
        if rng.random() <= 0.45 + 0.35 * canvas.at(clumps, x_px, y_px):
            _lay_cell(canvas, x_px, y_px, int(rng.choice(4, p=CELLS[kind])))


def _lay_cell(canvas: Canvas, x_px: float, y_px: float, cell: int) -> None:
    rng, size, stain = canvas.rng, canvas.size, canvas.drawn_stain()
    angle = canvas.at(canvas.fibre, x_px, y_px) + rng.normal(0, 0.2)
    if cell == LYMPHOCYTE:
        radius_um = 2.7 * size**0.5 * np.exp(rng.normal(0, 0.1))
        axes, angle, vesicular = (
            (radius_um * 1.08, radius_um / 1.05),
            rng.uniform(0, 3.14),
            rng.uniform(0, 0.3),
        )
        stain, bend, irregular, overlap = stain * rng.uniform(1, 1.4), 0.0, 0.04, 0.12
    elif cell == THIN:
        axes, vesicular = (rng.uniform(4.5, 10) * size, rng.uniform(1.0, 2.0)), rng.uniform(0, 0.5)
        stain, bend, irregular, overlap = stain * rng.uniform(0.4, 0.95), rng.normal(0, 0.12), 0.05, 0.1
    elif cell == OVAL:
        longer_um = rng.uniform(3.2, 5.2) * size
        axes, vesicular = (longer_um, longer_um / rng.uniform(1.2, 1.9)), canvas.vesicular
        stain, bend, irregular, overlap = stain * rng.uniform(0.35, 0.85), 0.0, 0.07, 0.1
    else:
        axes, vesicular = (rng.uniform(6, 13) * size, rng.uniform(1.2, 2.3)), rng.uniform(0.1, 0.6)
        stain, bend, irregular, overlap = stain * rng.uniform(0.35, 0.75), rng.normal(0, 0.06), 0.03, 0.08
    canvas.lay(
        x_px, y_px, axes, angle, stain, vesicular, bend=bend, irregular=irregular, overlap=overlap,
        nucleoli=cell == OVAL,
    )  # fmt: skip


def spill_blood(canvas: Canvas, where: Mask) -> None:
    """Paint red cells, which are no nuclei."""
    rng = canvas.rng
    rows, cols = np.nonzero(where[::8, ::8])
    half = int(canvas.px(5))
    for _ in range(int(len(rows) * 64 * canvas.mpp**2 / 45)):
        k = rng.integers(len(rows))
        x, y = int(cols[k] * 8 + rng.integers(8)), int(rows[k] * 8 + rng.integers(8))
        radius_um, eosin = rng.uniform(2.4, 3.4), float(rng.uniform(0.55, 0.95))
        if not (half <= x < canvas.side_px - half - 1 and half <= y < canvas.side_px - half - 1):
            continue
        axes = [max(1, int(canvas.px(r))) for r in (radius_um, radius_um * rng.uniform(0.5, 1))]
        cell = np.zeros((2 * half + 1, 2 * half + 1), np.uint8)
        cv2.ellipse(cell, (half, half), axes, float(rng.uniform(0, 180)), 0, 360, (1,), -1)
        window = (slice(y - half, y + half + 1), slice(x - half, x + half + 1))
        covered = (cell > 0) & (canvas.labels[window] == 0)
        canvas.eosin[window][covered], canvas.haematoxylin[window][covered] = eosin, 0.02


def sprinkle_debris(canvas: Canvas, where: Mask, count: int) -> None:
    """Paint dark specks, which are no nuclei."""
    rng = canvas.rng
    rows, cols = np.nonzero(where[::8, ::8])
    for _ in range(count if len(rows) else 0):
        k = rng.integers(len(rows))
        centre = (int(cols[k] * 8), int(rows[k] * 8))
        radius_px = max(1, int(canvas.px(rng.uniform(0.4, 1.4))))
        cv2.circle(canvas.haematoxylin, centre, radius_px, (float(rng.uniform(0.2, 1.0)),), -1)
        cv2.circle(canvas.eosin, centre, radius_px, (float(rng.uniform(0.1, 0.6)),), -1)
