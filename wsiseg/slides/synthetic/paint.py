"""The stains of one block, before the optics: what tissue and nuclei take up at each pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsiseg.slides.synthetic.jit import jit
from wsiseg.slides.synthetic.layout import (
    CLEFT,
    CROWD,
    EPITHELIUM,
    FAT,
    FIBRE_U,
    FIBRE_V,
    LUMEN,
    LYMPHOID,
    MEMBRANE,
    N_FIELDS,
    PEN,
    STRENGTH,
    TISSUE,
    Layout,
    interpolate_row,
)
from wsiseg.slides.synthetic.noise import TEXEL_UM, pick, sample, uniform
from wsiseg.slides.synthetic.nuclei import EPITHELIAL, Nuclei, Nucleus

Floats = npt.NDArray[np.float32]


@jit
def _ramp(value: float, low: float, high: float) -> float:
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@jit
def _epithelium(
    x: float, y: float, lumen: float, mottle: float, grain: float, basophilia: float, tex: Floats
) -> tuple[float, float]:
    """Return haematoxylin and eosin of cytoplasm: granular, patchy, with paler seams between cells."""
    patch = pick(tex[1], 0.7 * x + 500.0, 0.7 * y)
    seam = pick(tex[1], x + 137.0, y + 611.0)
    seam = 1.0 / (1.0 + 60.0 * seam * seam)
    h = 0.13 + basophilia + 0.06 * mottle + 0.06 * grain - 0.06 * seam
    e = 0.29 + 0.055 * patch + 0.07 * grain - 0.07 * seam
    vacuole = _ramp(patch - mottle + 0.5 * grain, 2.2, 2.9)
    gap = max(_ramp(lumen + 0.03 * mottle + 0.01 * grain, 0.0, 0.03), 0.85 * vacuole)
    return h * (1.0 - gap), e * (1.0 - 0.93 * gap)


@jit
def _stroma(f: Floats, col: int, mottle: float, grain: float, tex: Floats) -> tuple[float, float]:
    """Return haematoxylin and eosin between the nests: fibres, clefts with blood, fat, infiltrate."""
    fibre = sample(tex[0], f[FIBRE_U, col] * 0.5, f[FIBRE_V, col] * 3.0)
    bundle = sample(tex[1], f[FIBRE_U, col] * 0.8 + 200.0, f[FIBRE_V, col] * 3.4)
    h = 0.055 + 0.015 * mottle + 0.03 * grain + 0.03 * fibre
    e = 0.37 + 0.085 * fibre + 0.07 * bundle + 0.06 * grain
    dense = _ramp(f[LYMPHOID, col], -0.1, 0.2)
    h, e = h + 0.06 * dense, e * (1.0 - 0.25 * dense)
    cleft = 1.0 - _ramp(f[CLEFT, col] + 0.8 * mottle + 0.9 * fibre, 0.0, 1.2)
    slit = 0.7 * _ramp(-bundle - 0.7 * fibre, 1.5, 2.3)
    gap = max(cleft, slit)
    fat = _ramp(f[FAT, col] + 0.03 * mottle, 0.0, 0.02)
    wall = 1.0 - _ramp(f[MEMBRANE, col] + 0.01 * grain, 0.012, 0.035)
    gap = max(gap, fat * (1.0 - 0.6 * wall))
    h, e = h * (1.0 - gap), e * (1.0 - 0.97 * gap)
    blood = cleft * (1.0 - fat) * _ramp(f[CROWD, col], 0.25, 0.3)
    if blood > 0.0:
        cell = _ramp(pick(tex[1], 0.8 * f[FIBRE_U, col] * 4.0, 0.8 * f[FIBRE_V, col] * 4.0), -0.3, 0.1)
        e += blood * cell * (0.62 + 0.05 * grain)
    return h, e


@jit
def _tissue_stain(f: Floats, col: int, x: float, y: float, tex: Floats, layout: Layout, out: Floats) -> None:
    """Write haematoxylin and eosin of tissue without nuclei at one pixel; `x` and `y` are in texels."""
    mottle = layout.texture * pick(tex[1], x, y)
    grain = layout.texture * pick(tex[0], x + 311.0, y + 77.0)
    inside = _ramp(f[TISSUE, col] + 0.015 * mottle + 0.004 * grain, -0.01, 0.012)
    epithelium = _ramp(f[EPITHELIUM, col] + 0.03 * mottle, -0.02, 0.03)
    h = e = 0.0
    if epithelium > 0.0:
        h, e = _epithelium(x, y, f[LUMEN, col], mottle, grain, layout.basophilia, tex)
    if epithelium < 1.0:
        sh, se = _stroma(f, col, mottle, grain, tex)
        h, e = epithelium * h + (1.0 - epithelium) * sh, epithelium * e + (1.0 - epithelium) * se
    strength = f[STRENGTH, col] * inside
    out[0], out[1] = max(h, 0.0) * strength, max(e, 0.0) * strength


@jit
def _nuclear_stain(n: Nucleus, rho: float, x_um: float, y_um: float, tex: Floats, contrast: float) -> float:
    """Return the haematoxylin of a nucleus at a place inside it: chromatin, rim, nucleoli."""
    salt = n["salt"]
    chromatin = contrast * pick(tex[0], x_um / TEXEL_UM + (salt & 1023), y_um / TEXEL_UM + (salt >> 10))
    if n["kind"] != EPITHELIAL:
        return float(n["strength"] * max(1.0 + 0.24 * chromatin - 0.12 * rho, 0.2))
    vesicular = n["vesicular"]
    rim = _ramp(rho, 0.62, 0.92)
    h = 1.0 - 0.30 * vesicular * (1.0 - rim) + 0.22 * vesicular * rim + (0.2 + 0.2 * vesicular) * chromatin
    for k in range(n["nucleoli"]):
        reach, turn = 0.55 * uniform(salt, 3 + k, 5), 6.2831853 * uniform(salt, 3 + k, 6)
        dx = x_um - n["x_um"] - reach * n["minor_um"] * np.cos(turn)
        dy = y_um - n["y_um"] - reach * n["minor_um"] * np.sin(turn)
        size = 0.4 + 0.5 * uniform(salt, 3 + k, 7)
        h += 0.7 * (1.0 - _ramp(np.sqrt(dx * dx + dy * dy), 0.6 * size, 1.3 * size))
    return float(n["strength"] * max(h, 0.2))


@jit
def stain(
    grid: Floats,
    step_px: int,
    x0: int,
    y0: int,
    mpp: float,
    nuclei: Nuclei,
    owner: npt.NDArray[np.int32],
    rho: Floats,
    tex: Floats,
    unit: float,
    layout: Layout,
    out: Floats,
) -> None:
    """Write concentrations of haematoxylin, eosin and ink, (3, height, width), before the optics.

    `unit` is the haematoxylin of an ordinary nucleus over its surroundings.
    """
    height, width = owner.shape
    fields = np.empty((N_FIELDS, width), np.float32)
    base = np.empty(2, np.float32)
    soft = max(0.3, 0.5 * mpp)
    texels = mpp / TEXEL_UM
    for row in range(height):
        interpolate_row(grid, row, step_px, fields)
        y = (y0 + row + 0.5) * texels
        for col in range(width):
            x = (x0 + col + 0.5) * texels
            base[0], base[1] = 0.0, 0.0
            if fields[TISSUE, col] > -0.1:
                _tissue_stain(fields, col, x, y, tex, layout, base)
            k = owner[row, col]
            if k >= 0:
                n = nuclei[k]
                place = rho[row, col]
                edge = (1.0 - place) * 0.5 * (n["major_um"] + n["minor_um"])
                cover = _ramp(edge, -soft, soft)
                if cover > 0.0:
                    h = unit * _nuclear_stain(n, place, x * TEXEL_UM, y * TEXEL_UM, tex, layout.texture)
                    base[0] += cover * (h + 0.06 - 0.6 * base[0])
                    base[1] += cover * (0.15 - 0.45 * base[1])
                elif n["halo"] > 0.0:
                    shrunk = n["halo"] * (1.0 - _ramp(place, 1.05, 1.33))
                    base[0] -= shrunk * base[0]
                    base[1] -= shrunk * base[1]
            out[0, row, col], out[1, row, col] = base[0], base[1]
            ink = fields[PEN, col]
            out[2, row, col] = 0.0
            if ink > -0.1:
                streak = sample(tex[1], x * 0.3, y * 0.05)
                out[2, row, col] = _ramp(ink + 0.02 * streak, 0.0, 0.06) * (0.8 + 0.12 * streak)
