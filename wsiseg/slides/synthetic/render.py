"""One block of a synthetic slide, from fields and nuclei to RGB; blocks never look at each other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsiseg.slides.synthetic.jit import jit
from wsiseg.slides.synthetic.layout import (
    BLUR,
    CLEFT,
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
)
from wsiseg.slides.synthetic.noise import TEXEL_UM, sample, uniform
from wsiseg.slides.synthetic.nuclei import EPITHELIAL, LYMPHOCYTE, Nuclei
from wsiseg.slides.synthetic.stain import OD_MAX, OD_STEPS

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]


@jit
def rasterise(nuclei: Nuclei, x0: int, y0: int, owner: Labels, rho: Floats, mpp: float) -> None:
    """Write each pixel's nearest nucleus (index) and its place on the radius: 0 centre, 1 outline.

    A pixel inside several belongs to the one in whose outline it lies deepest, so no order matters.
    `owner` is -1 and `rho` 9 where nothing is near. Pixel (row, col) has its centre at
    ((x0 + col + 0.5) * mpp, (y0 + row + 0.5) * mpp) micrometres.
    """
    height, width = owner.shape
    for k in range(nuclei.size):
        n = nuclei[k]
        reach = 1.35 * n["major_um"]
        left = max(int(np.floor((n["x_um"] - reach) / mpp)) - x0, 0)
        right = min(int(np.ceil((n["x_um"] + reach) / mpp)) - x0 + 1, width)
        top = max(int(np.floor((n["y_um"] - reach) / mpp)) - y0, 0)
        bottom = min(int(np.ceil((n["y_um"] + reach) / mpp)) - y0 + 1, height)
        cos, sin = n["cos"], n["sin"]
        inv_a, inv_b = 1.0 / n["major_um"], 1.0 / n["minor_um"]
        c2, s2 = n["wave2"] * np.cos(n["phase2"]), n["wave2"] * np.sin(n["phase2"])
        c3, s3 = n["wave3"] * np.cos(n["phase3"]), n["wave3"] * np.sin(n["phase3"])
        c4, s4 = n["wave4"] * np.cos(n["phase4"]), n["wave4"] * np.sin(n["phase4"])
        for row in range(top, bottom):
            dy = (y0 + row + 0.5) * mpp - n["y_um"]
            for col in range(left, right):
                dx = (x0 + col + 0.5) * mpp - n["x_um"]
                u, v = (dx * cos + dy * sin) * inv_a, (dy * cos - dx * sin) * inv_b
                squared = u * u + v * v
                if squared > 1.82:
                    continue
                d = np.sqrt(squared) + 1e-9
                p, q = u / d, v / d
                p2, q2 = p * p - q * q, 2.0 * p * q
                p3, q3 = p2 * p - q2 * q, p2 * q + q2 * p
                p4, q4 = p2 * p2 - q2 * q2, 2.0 * p2 * q2
                outline = 1.0 + c2 * p2 + s2 * q2 + c3 * p3 + s3 * q3 + c4 * p4 + s4 * q4
                place = np.float32(d / outline)
                if place < rho[row, col]:
                    rho[row, col] = place
                    owner[row, col] = k


@jit
def _ramp(value: float, low: float, high: float) -> float:
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@jit
def _row_fields(grid: Floats, row: int, step_px: int, out: Floats) -> None:
    """Interpolate the coarse fields to one row of pixels: (N_FIELDS, width)."""
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
def _tissue_stain(f: Floats, col: int, x: float, y: float, tex: Floats, out: Floats) -> float:
    """Write haematoxylin and eosin of tissue without nuclei at one pixel; return how much is tissue, 0 to 1.

    `x` and `y` are in texels. White gaps (lumen, cleft, fat) are tissue of no stain.
    """
    mottle = sample(tex[1], x, y)
    grain = sample(tex[0], x + 311.0, y + 77.0)
    inside = _ramp(f[TISSUE, col] + 0.015 * mottle + 0.004 * grain, -0.01, 0.012)
    epithelium = _ramp(f[EPITHELIUM, col] + 0.03 * mottle, -0.02, 0.03)
    h = e = 0.0
    if epithelium > 0.0:
        h = 0.17 + 0.035 * mottle + 0.045 * grain
        e = 0.27 + 0.035 * sample(tex[1], x * 0.7 + 500.0, y * 0.7) + 0.045 * grain
        gap = _ramp(f[LUMEN, col] + 0.03 * mottle + 0.01 * grain, 0.0, 0.03)
        h, e = h * (1.0 - gap), e * (1.0 - 0.93 * gap)
    if epithelium < 1.0:
        fibre = sample(tex[0], f[FIBRE_U, col] * 0.45, f[FIBRE_V, col] * 3.6)
        bundle = sample(tex[1], f[FIBRE_U, col] * 0.8 + 200.0, f[FIBRE_V, col] * 3.2)
        sh = 0.055 + 0.012 * mottle + 0.014 * grain + 0.012 * fibre
        se = 0.36 + 0.055 * fibre + 0.05 * bundle + 0.025 * grain
        dense = _ramp(f[LYMPHOID, col], -0.1, 0.2)
        sh, se = sh + 0.06 * dense, se * (1.0 - 0.25 * dense)
        gap = 1.0 - _ramp(f[CLEFT, col] + 0.8 * mottle + 0.9 * fibre, 0.0, 1.2)
        gap = max(gap, 0.6 * _ramp(-bundle - 0.6 * fibre, 1.7, 2.4))
        fat = _ramp(f[FAT, col] + 0.03 * mottle, 0.0, 0.02)
        wall = 1.0 - _ramp(f[MEMBRANE, col] + 0.01 * grain, 0.012, 0.035)
        gap = max(gap, fat * (1.0 - 0.6 * wall))
        sh, se = sh * (1.0 - gap), se * (1.0 - 0.97 * gap)
        h, e = epithelium * h + (1.0 - epithelium) * sh, epithelium * e + (1.0 - epithelium) * se
    strength = f[STRENGTH, col] * inside
    out[0], out[1] = max(h, 0.0) * strength, max(e, 0.0) * strength
    return inside


@jit
def _nuclear_stain(n: Nuclei, rho: float, x_um: float, y_um: float, tex: Floats) -> float:
    """Return the haematoxylin of a nucleus at a place inside it: chromatin, rim, nucleoli."""
    kind, salt = n["kind"], n["salt"]
    x, y = x_um / TEXEL_UM + (salt & 1023), y_um / TEXEL_UM + (salt >> 10)
    chromatin = sample(tex[0], x, y)
    if kind == LYMPHOCYTE:
        return n["strength"] * (1.0 + 0.16 * chromatin)
    if kind != EPITHELIAL:
        return n["strength"] * (1.0 + 0.14 * chromatin)
    vesicular = uniform(salt, 1, 5)
    rim = _ramp(rho, 0.62, 0.92)
    h = 1.0 - 0.28 * vesicular * (1.0 - rim) + 0.25 * vesicular * rim + (0.13 + 0.17 * vesicular) * chromatin
    for k in range(int(3.3 * uniform(salt, 2, 5))):
        reach, turn = 0.55 * uniform(salt, 3 + k, 5), 6.2831853 * uniform(salt, 3 + k, 6)
        dx = x_um - n["x_um"] - reach * n["minor_um"] * np.cos(turn)
        dy = y_um - n["y_um"] - reach * n["minor_um"] * np.sin(turn)
        size = 0.45 + 0.55 * uniform(salt, 3 + k, 7)
        h += 0.75 * (1.0 - _ramp(np.sqrt(dx * dx + dy * dy), 0.6 * size, 1.3 * size))
    return n["strength"] * max(h, 0.2)


@jit
def stain(
    grid: Floats,
    step_px: int,
    x0: int,
    y0: int,
    mpp: float,
    nuclei: Nuclei,
    owner: Labels,
    rho: Floats,
    tex: Floats,
    unit: float,
    out: Floats,
) -> None:
    """Write concentrations of haematoxylin, eosin and ink, (3, height, width), before the optics.

    `unit` is the haematoxylin of an ordinary nucleus over its surroundings.
    """
    height, width = owner.shape
    fields = np.empty((N_FIELDS, width), np.float32)
    base = np.empty(2, np.float32)
    soft = max(0.18, 0.5 * mpp)
    texels = mpp / TEXEL_UM
    for row in range(height):
        _row_fields(grid, row, step_px, fields)
        y = (y0 + row + 0.5) * texels
        for col in range(width):
            x = (x0 + col + 0.5) * texels
            base[0], base[1] = 0.0, 0.0
            if fields[TISSUE, col] > -0.1:
                _tissue_stain(fields, col, x, y, tex, base)
            k = owner[row, col]
            if k >= 0:
                n = nuclei[k]
                place = rho[row, col]
                edge = (1.0 - place) * 0.5 * (n["major_um"] + n["minor_um"])
                cover = _ramp(edge, -soft, soft)
                if cover > 0.0:
                    h = unit * _nuclear_stain(n, place, x * TEXEL_UM, y * TEXEL_UM, tex)
                    base[0] += cover * (h + 0.06 - 0.6 * base[0])
                    base[1] += cover * (0.15 - 0.45 * base[1])
            out[0, row, col], out[1, row, col] = base[0], base[1]
            ink = fields[PEN, col]
            out[2, row, col] = 0.0
            if ink > -0.1:
                streak = sample(tex[1], x * 0.3, y * 0.05)
                out[2, row, col] = _ramp(ink + 0.02 * streak, 0.0, 0.06) * (0.8 + 0.12 * streak)


@jit
def blur(image: Floats, taps: Floats, scratch: Floats) -> None:
    """Smooth (3, height, width) in place by symmetric taps (centre first); a margin as wide is spoilt."""
    _, height, width = image.shape
    reach = taps.size - 1
    for plane in range(3):
        for row in range(height):
            for col in range(reach, width - reach):
                total = taps[0] * image[plane, row, col]
                for t in range(1, reach + 1):
                    total += taps[t] * (image[plane, row, col - t] + image[plane, row, col + t])
                scratch[row, col] = total
        for row in range(reach, height - reach):
            for col in range(reach, width - reach):
                image[plane, row, col] = taps[0] * scratch[row, col]
            for t in range(1, reach + 1):
                for col in range(reach, width - reach):
                    image[plane, row, col] += taps[t] * (scratch[row - t, col] + scratch[row + t, col])


@jit
def mix_blurred(sharp: Floats, soft: Floats, grid: Floats, step_px: int) -> None:
    """Replace `sharp` by `soft` as far as the BLUR field says."""
    _, height, width = sharp.shape
    fields = np.empty((N_FIELDS, width), np.float32)
    for row in range(height):
        _row_fields(grid, row, step_px, fields)
        for plane in range(3):
            for col in range(width):
                t = fields[BLUR, col]
                sharp[plane, row, col] += t * (soft[plane, row, col] - sharp[plane, row, col])


@jit
def develop(
    density: Floats,
    margin: int,
    x0: int,
    y0: int,
    stains: Floats,
    glass: Floats,
    noise: Floats,
    noise_level: float,
    table: Floats,
    out: npt.NDArray[np.uint8],
) -> None:
    """Write RGB through Beer-Lambert (`table` is 10 ** -density), with the scanner's noise."""
    height, width, _ = out.shape
    last = OD_MAX - 1.0 / OD_STEPS
    for row in range(height):
        for col in range(width):
            h = density[0, row + margin, col + margin]
            e = density[1, row + margin, col + margin]
            ink = density[2, row + margin, col + margin]
            i, j = (x0 + col) & 1023, (y0 + row) & 1023
            common = noise[j, i]
            for c in range(3):
                od = h * stains[0, c] + e * stains[1, c] + ink * stains[2, c]
                od = min(max(od, 0.0), last)
                own = noise[(j + 191 * c + 67) & 1023, (i + 397 * c + 29) & 1023]
                light = glass[c] * table[int(od * OD_STEPS)] + noise_level * (0.8 * common + 0.6 * own)
                out[row, col, c] = np.uint8(min(max(light + np.float32(0.5), 0.0), 255.0))


@jit
def develop_glass(
    x0: int, y0: int, glass: Floats, noise: Floats, noise_level: float, out: npt.NDArray[np.uint8]
) -> None:
    """Write RGB of empty glass: what `develop` gives where there is no stain at all."""
    height, width, _ = out.shape
    for row in range(height):
        for col in range(width):
            i, j = (x0 + col) & 1023, (y0 + row) & 1023
            common = noise[j, i]
            for c in range(3):
                own = noise[(j + 191 * c + 67) & 1023, (i + 397 * c + 29) & 1023]
                light = glass[c] + noise_level * (0.8 * common + 0.6 * own)
                out[row, col, c] = np.uint8(min(max(light + np.float32(0.5), 0.0), 255.0))
