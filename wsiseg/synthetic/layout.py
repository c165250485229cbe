"""Where things lie on a synthetic slide: smooth fields of position (micrometres) that say what grows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsiseg.synthetic.jit import jit
from wsiseg.synthetic.noise import fractal_noise, uniform, value_noise

# rows of the field arrays
TISSUE, EPITHELIUM, FAT, LYMPHOID, LUMEN, CLEFT, FIBRE_U, FIBRE_V, STRENGTH, BLUR, CROWD, MEMBRANE, PEN = (
    range(13)
)
N_FIELDS = 13


class Layout(NamedTuple):
    """What a slide's seed decides about its architecture; lengths in micrometres."""

    seed: int
    island_um: float
    tissue_cut: float
    epithelium_cut: float
    fat_cut: float
    lymphoid_cut: float
    nest_um: float
    lumen_cut: float
    cleft_um: float
    fibre_cos: float
    fibre_sin: float
    blur_cut: float
    density: float
    nucleus_scale: float
    vesicular: float
    depth: float
    basophilia: float
    texture: float
    pen_x_um: float
    pen_y_um: float
    pen_length_um: float
    pen_width_um: float
    pen_angle: float


@jit
def membrane_distance(x: float, y: float, salt: int) -> float:
    """Return how far a place lies from the nearest wall between fat cells, in cell diameters (F2 - F1)."""
    i, j = int(np.floor(x)), int(np.floor(y))
    first, second = 9.0, 9.0
    for row in range(j - 1, j + 2):
        for col in range(i - 1, i + 2):
            dx = col + 0.15 + 0.7 * uniform(col, row, salt) - x
            dy = row + 0.15 + 0.7 * uniform(col, row, salt + 1) - y
            d = dx * dx + dy * dy
            if d < first:
                first, second = d, first
            elif d < second:
                second = d
    return float(np.sqrt(second) - np.sqrt(first))


@jit
def tissue_field(x: float, y: float, seed: int, island_um: float) -> float:
    """Return the height of the islands at a place: tissue lies where it exceeds the layout's cut."""
    x, y = x / island_um, y / island_um
    return fractal_noise(
        x + 0.35 * value_noise(2.0 * x, 2.0 * y, seed + 16),
        y + 0.35 * value_noise(2.0 * y, 2.0 * x, seed + 17),
        5,
        seed + 11,
    )


@jit
def pen_field(x: float, y: float, layout: Layout) -> float:
    """Return the ink of the pen stroke, from 1 in its middle to 0 at its rim and below outside."""
    dx, dy = x - layout.pen_x_um, y - layout.pen_y_um
    cos, sin = np.cos(layout.pen_angle), np.sin(layout.pen_angle)
    along = (dx * cos + dy * sin) / layout.pen_length_um
    across = (dy * cos - dx * sin) / layout.pen_length_um
    across += 0.12 * np.sin(5.0 * along) + 0.02 * value_noise(14.0 * along, 3.0, layout.seed + 90)
    beyond = max(abs(along) - 0.5, 0.0)
    return float(1.0 - 2.0 * np.hypot(across, beyond) * layout.pen_length_um / layout.pen_width_um)


@jit
def fields_at(x: float, y: float, layout: Layout, out: npt.NDArray[np.float32]) -> None:
    """Write all fields at one place (micrometres) into `out`, of length `N_FIELDS`.

    TISSUE, EPITHELIUM, FAT, LYMPHOID, LUMEN: positive inside, in units of noise. CLEFT: distance to a
    cleft's middle in micrometres. FIBRE_U, FIBRE_V: coordinates along and across the fibres in micrometres.
    STRENGTH: factor on the stains. BLUR: 0..1, out of focus. CROWD: -1..1. MEMBRANE: see
    `membrane_distance`. PEN: see `pen_field`.
    """
    seed = layout.seed
    for k in range(N_FIELDS):
        out[k] = 0.0
    out[PEN] = pen_field(x, y, layout) if layout.pen_width_um > 0.0 else -1.0
    out[TISSUE] = tissue_field(x, y, seed, layout.island_um) - layout.tissue_cut
    if out[TISSUE] < -0.3:
        out[MEMBRANE] = 1.0
        return
    out[EPITHELIUM] = (
        fractal_noise(x / layout.nest_um, y / layout.nest_um, 3, seed + 21) - layout.epithelium_cut
    )
    out[FAT] = fractal_noise(x / 700.0, y / 700.0, 3, seed + 31) - layout.fat_cut
    out[LYMPHOID] = fractal_noise(x / 190.0, y / 190.0, 2, seed + 41) - layout.lymphoid_cut
    out[LUMEN] = fractal_noise(x / 55.0, y / 55.0, 2, seed + 51) - layout.lumen_cut
    out[CLEFT] = abs(fractal_noise(x / 120.0, y / 120.0, 3, seed + 56)) * 90.0 - layout.cleft_um * (
        0.4 + value_noise(x / 70.0, y / 70.0, seed + 59)
    )
    warp = 45.0 * value_noise(x / 130.0, y / 130.0, seed + 61) + 6.0 * value_noise(
        x / 28.0, y / 28.0, seed + 62
    )
    out[FIBRE_U] = x * layout.fibre_cos + y * layout.fibre_sin
    out[FIBRE_V] = y * layout.fibre_cos - x * layout.fibre_sin + warp
    out[STRENGTH] = 1.0 + 0.3 * fractal_noise(x / 200.0, y / 260.0, 3, seed + 71)
    focus = fractal_noise(x / 900.0, y / 900.0, 2, seed + 76) - layout.blur_cut
    out[BLUR] = min(max(focus * 4.0, 0.0), 1.0)
    out[CROWD] = fractal_noise(x / 85.0, y / 85.0, 2, seed + 81)
    out[MEMBRANE] = 1.0
    if out[FAT] > -0.1:
        out[MEMBRANE] = membrane_distance(x / 62.0, y / 62.0, seed + 86)


@jit
def field_grid(
    x0: int, y0: int, cols: int, rows: int, step_px: int, mpp: float, layout: Layout
) -> npt.NDArray[np.float32]:
    """Return the fields, (rows, N_FIELDS, cols), at pixels (x0 + step_px * col, y0 + step_px * row)."""
    out = np.empty((rows, N_FIELDS, cols), np.float32)
    values = np.empty(N_FIELDS, np.float32)
    for row in range(rows):
        for col in range(cols):
            fields_at((x0 + col * step_px) * mpp, (y0 + row * step_px) * mpp, layout, values)
            for k in range(N_FIELDS):
                out[row, k, col] = values[k]
    return out


@jit
def interpolate_row(
    grid: npt.NDArray[np.float32], row: int, step_px: int, out: npt.NDArray[np.float32]
) -> None:
    """Interpolate the grid of `field_grid` to the centres of one row of pixels: (N_FIELDS, width)."""
    j, t = row // step_px, np.float32((row % step_px + 0.5) / step_px)
    n_cols = out.shape[1] // step_px
    scale = np.float32(1.0 / step_px)
    for k in range(N_FIELDS):
        for i in range(n_cols):
            a = grid[j, k, i] + t * (grid[j + 1, k, i] - grid[j, k, i])
            b = grid[j, k, i + 1] + t * (grid[j + 1, k, i + 1] - grid[j, k, i + 1])
            slope = (b - a) * scale
            for c in range(step_px):
                out[k, i * step_px + c] = a + slope * np.float32(c + 0.5)


@jit
def _tissue_heights(
    width_um: float, height_um: float, seed: int, island_um: float, side: int
) -> npt.NDArray[np.float64]:
    out = np.empty((side, side))
    for row in range(side):
        for col in range(side):
            x, y = (col + 0.5) / side * width_um, (row + 0.5) / side * height_um
            out[row, col] = tissue_field(x, y, seed, island_um)
    return out


def make_layout(
    width_um: float, height_um: float, seed: int, tissue_share: float, pen: bool, density: float
) -> Layout:
    """Draw a slide's architecture from its seed.

    The cut of the tissue field is the quantile that leaves `tissue_share` of the slide above it.
    """
    rng = np.random.default_rng([seed, 1])
    salt = int(rng.integers(1, 1 << 24)) * 64
    shorter, longer = min(width_um, height_um), max(width_um, height_um)
    island_um = float(np.clip(0.45 * shorter, 60.0, 3500.0))
    if tissue_share <= 0.0:
        tissue_cut = 1e3
    elif tissue_share >= 1.0:
        tissue_cut = -1e3
    else:
        heights = _tissue_heights(width_um, height_um, salt, island_um, 160)
        tissue_cut = float(np.quantile(heights, 1.0 - tissue_share))
    angle = float(rng.uniform(0.0, np.pi))
    pen_width_um = float(np.clip(0.06 * shorter, 4.0, 700.0)) if pen else 0.0
    return Layout(
        seed=salt,
        island_um=island_um,
        tissue_cut=tissue_cut,
        epithelium_cut=float(rng.uniform(-0.25, 0.3)),
        fat_cut=float(rng.uniform(0.35, 0.8)),
        lymphoid_cut=float(rng.uniform(0.35, 0.75)),
        nest_um=float(rng.uniform(110.0, 260.0)),
        lumen_cut=float(rng.uniform(0.5, 0.85)),
        cleft_um=float(rng.uniform(2.0, 6.0)),
        fibre_cos=float(np.cos(angle)),
        fibre_sin=float(np.sin(angle)),
        blur_cut=float(rng.uniform(0.3, 0.7)),
        density=density,
        nucleus_scale=float(rng.uniform(0.7, 1.4)),
        vesicular=float(rng.uniform(0.0, 0.9)),
        depth=float(rng.uniform(0.75, 1.15)),
        basophilia=float(rng.uniform(0.0, 0.16)),
        texture=float(rng.uniform(0.7, 1.25)),
        pen_x_um=float(width_um * rng.uniform(0.3, 0.7)),
        pen_y_um=float(height_um * rng.choice([0.07, 0.93])),
        pen_length_um=0.35 * longer,
        pen_width_um=pen_width_um,
        pen_angle=float(rng.uniform(-0.25, 0.25)),
    )
