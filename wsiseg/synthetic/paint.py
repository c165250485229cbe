"""The stains of one block, before the optics: what tissue and nuclei take up at each pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsiseg.synthetic.jit import jit
from wsiseg.synthetic.layout import (
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
from wsiseg.synthetic.noise import TEXEL_UM, pick, sample
from wsiseg.synthetic.nuclei import EPITHELIAL, Nuclei, Nucleus

Floats = npt.NDArray[np.float32]

# rows of the scratch array of one row of pixels
_MOTTLE, _GRAIN, _NEST, _SHARE, _H, _E = range(6)


@jit
def _ramp(value: float, low: float, high: float) -> float:
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@jit
def _detail(
    f: Floats, x0: float, y: float, step: float, grains: Floats, mottles: Floats, row: Floats
) -> None:
    """Fill mottling, grain, the share of epithelium, and the share of tissue times its strength."""
    for col in range(row.shape[1]):
        x = x0 + col * step
        mottle, grain = pick(mottles, x, y), pick(grains, x + 311.0, y + 77.0)
        row[_MOTTLE, col], row[_GRAIN, col] = mottle, grain
        row[_NEST, col] = _ramp(f[EPITHELIUM, col] + 0.03 * mottle, -0.02, 0.03)
        inside = _ramp(f[TISSUE, col] + 0.015 * mottle + 0.004 * grain, -0.01, 0.012)
        row[_SHARE, col] = inside * f[STRENGTH, col]


@jit
def _epithelium(
    f: Floats, x0: float, y: float, step: float, mottles: Floats, layout: Layout, row: Floats
) -> None:
    """Fill haematoxylin and eosin of cytoplasm: granular, patchy, with paler seams between cells."""
    contrast, basophilia = layout.texture, layout.basophilia
    for col in range(row.shape[1]):
        if row[_NEST, col] <= 0.0 or row[_SHARE, col] <= 0.0:
            row[_H, col] = row[_E, col] = 0.0
            continue
        x = x0 + col * step
        mottle, grain = contrast * row[_MOTTLE, col], contrast * row[_GRAIN, col]
        patch = pick(mottles, 0.7 * x + 500.0, 0.7 * y)
        seam = pick(mottles, x + 137.0, y + 611.0)
        seam = 1.0 / (1.0 + 60.0 * seam * seam)
        h = 0.13 + basophilia + 0.06 * mottle + 0.065 * grain - 0.06 * seam
        e = 0.29 + 0.055 * patch + 0.08 * grain - 0.07 * seam
        vacuole = _ramp(patch - mottle + 0.5 * grain, 2.2, 2.9)
        gap = max(_ramp(f[LUMEN, col] + 0.03 * mottle + 0.01 * grain, 0.0, 0.03), 0.85 * vacuole)
        share = row[_NEST, col]
        row[_H, col] = share * h * (1.0 - gap)
        row[_E, col] = share * e * (1.0 - 0.93 * gap)


@jit
def _stroma(f: Floats, grains: Floats, mottles: Floats, layout: Layout, row: Floats) -> None:
    """Add haematoxylin and eosin between the nests: fibres, clefts with blood, fat, infiltrate."""
    contrast = layout.texture
    for col in range(row.shape[1]):
        share = 1.0 - row[_NEST, col]
        if share <= 0.0 or row[_SHARE, col] <= 0.0:
            continue
        mottle, grain = contrast * row[_MOTTLE, col], contrast * row[_GRAIN, col]
        # across the fibres lies along the texture's rows, where neighbours are near in memory
        fibre = sample(grains, f[FIBRE_V, col] * 3.0, f[FIBRE_U, col] * 0.5)
        bundle = sample(mottles, f[FIBRE_V, col] * 3.4, f[FIBRE_U, col] * 0.8 + 200.0)
        dense = _ramp(f[LYMPHOID, col], -0.1, 0.2)
        h = 0.055 + 0.015 * mottle + 0.035 * grain + 0.03 * fibre + 0.06 * dense
        e = (0.37 + 0.085 * fibre + 0.07 * bundle + 0.07 * grain) * (1.0 - 0.25 * dense)
        cleft = 1.0 - _ramp(f[CLEFT, col] + 0.8 * mottle + 0.9 * fibre, 0.0, 1.2)
        slit = 0.7 * _ramp(-bundle - 0.7 * fibre, 1.5, 2.3)
        fat = _ramp(f[FAT, col] + 0.03 * mottle, 0.0, 0.02)
        wall = 1.0 - _ramp(f[MEMBRANE, col] + 0.01 * grain, 0.012, 0.035)
        gap = max(max(cleft, slit), fat * (1.0 - 0.6 * wall))
        blood = cleft * (1.0 - fat) * _ramp(f[CROWD, col], 0.25, 0.3)
        if blood > 0.0:
            cell = pick(mottles, 3.2 * f[FIBRE_V, col], 3.2 * f[FIBRE_U, col])
            blood *= _ramp(cell, -0.3, 0.1) * (0.62 + 0.05 * grain)
        row[_H, col] += share * h * (1.0 - gap)
        row[_E, col] += share * (e * (1.0 - 0.97 * gap) + blood)


@jit
def _spot(dx: float, dy: float, radius: float) -> float:
    """Return what a nucleolus adds at an offset from its centre."""
    squared = (dx * dx + dy * dy) / (radius * radius)
    return 0.7 * (1.0 - _ramp(squared, 0.4, 1.7))


@jit
def _nuclear_stain(
    n: Nucleus, rho: float, x_um: float, y_um: float, grains: Floats, contrast: float
) -> float:
    """Return the haematoxylin of a nucleus at a place inside it: chromatin, rim, nucleoli."""
    salt = n["salt"]
    chromatin = contrast * pick(grains, x_um / TEXEL_UM + (salt & 1023), y_um / TEXEL_UM + (salt >> 10))
    if n["kind"] != EPITHELIAL:
        return float(n["strength"] * max(1.0 + 0.24 * chromatin - 0.12 * rho, 0.2))
    vesicular = n["vesicular"]
    rim = _ramp(rho, 0.62, 0.92)
    h = 1.0 - 0.30 * vesicular * (1.0 - rim) + 0.22 * vesicular * rim + (0.2 + 0.2 * vesicular) * chromatin
    if n["spot1_um"] > 0.0:
        h += _spot(x_um - n["spot1_x_um"], y_um - n["spot1_y_um"], n["spot1_um"])
    if n["spot2_um"] > 0.0:
        h += _spot(x_um - n["spot2_x_um"], y_um - n["spot2_y_um"], n["spot2_um"])
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
    grains: Floats,
    mottles: Floats,
    unit: float,
    layout: Layout,
    out: Floats,
) -> None:
    """Write concentrations of haematoxylin, eosin and ink, (3, height, width), before the optics.

    `unit` is the haematoxylin of an ordinary nucleus over its surroundings.
    """
    height, width = owner.shape
    fields = np.empty((N_FIELDS, width), np.float32)
    scratch = np.zeros((6, width), np.float32)
    step = mpp / TEXEL_UM
    x = (x0 + 0.5) * step
    for row in range(height):
        y = (y0 + row + 0.5) * step
        interpolate_row(grid, row, step_px, fields)
        _detail(fields, x, y, step, grains, mottles, scratch)
        _epithelium(fields, x, y, step, mottles, layout, scratch)
        _stroma(fields, grains, mottles, layout, scratch)
        for col in range(width):
            out[0, row, col] = max(scratch[_H, col], np.float32(0.0)) * scratch[_SHARE, col]
            out[1, row, col] = max(scratch[_E, col], np.float32(0.0)) * scratch[_SHARE, col]
            out[2, row, col] = 0.0
        _ink(fields, x, y, step, mottles, out[2, row])
        _nuclei(nuclei, owner[row], rho[row], x, y, step, grains, unit, layout.texture, out[:, row])


@jit
def _ink(f: Floats, x0: float, y: float, step: float, mottles: Floats, out: Floats) -> None:
    """Write the pen's ink, streaked along the stroke."""
    for col in range(out.size):
        if f[PEN, col] > -0.1:
            streak = sample(mottles, (x0 + col * step) * 0.3, y * 0.05)
            out[col] = _ramp(f[PEN, col] + 0.02 * streak, 0.0, 0.06) * (0.8 + 0.12 * streak)


@jit
def _nuclei(
    nuclei: Nuclei,
    owner: npt.NDArray[np.int32],
    rho: Floats,
    x0: float,
    y: float,
    step: float,
    grains: Floats,
    unit: float,
    contrast: float,
    out: Floats,
) -> None:
    """Lay the nuclei, and the clear halo that some have, over what is there."""
    soft = max(0.3, 0.5 * step * TEXEL_UM)
    for col in range(owner.size):
        if owner[col] < 0:
            continue
        n = nuclei[owner[col]]
        edge = (1.0 - rho[col]) * 0.5 * (n["major_um"] + n["minor_um"])
        cover = _ramp(edge, -soft, soft)
        if cover > 0.0:
            x_um, y_um = (x0 + col * step) * TEXEL_UM, y * TEXEL_UM
            h = unit * _nuclear_stain(n, rho[col], x_um, y_um, grains, contrast)
            out[0, col] += cover * (h + 0.06 - 0.6 * out[0, col])
            out[1, col] += cover * (0.11 - 0.5 * out[1, col])
        elif n["halo"] > 0.0:
            shrunk = n["halo"] * (1.0 - _ramp(rho[col], 1.05, 1.33))
            out[0, col] -= shrunk * out[0, col]
            out[1, col] -= shrunk * out[1, col]
