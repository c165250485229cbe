"""From stains to RGB: the lens, the focus, Beer-Lambert's law and the scanner's noise."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from wsiseg.synthetic.jit import jit
from wsiseg.synthetic.layout import BLUR, N_FIELDS, interpolate_row
from wsiseg.synthetic.stain import OD_MAX, OD_STEPS

Floats = npt.NDArray[np.float32]


def blur(planes: Floats, taps: Floats) -> Floats:
    """Return (planes, height, width) smoothed by symmetric taps; a margin of half their length is spoilt."""
    out = np.empty_like(planes)
    for plane, smooth in zip(planes, out, strict=True):
        cv2.sepFilter2D(plane, -1, taps, taps, dst=smooth, borderType=cv2.BORDER_REPLICATE)
    return out


@jit
def mix_blurred(sharp: Floats, soft: Floats, grid: Floats, step_px: int) -> None:
    """Replace `sharp` by `soft` as far as the BLUR field says."""
    planes, height, width = sharp.shape
    fields = np.empty((N_FIELDS, width), np.float32)
    for row in range(height):
        interpolate_row(grid, row, step_px, fields)
        for plane in range(planes):
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
