"""Nuclei from outlines to pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsiseg.synthetic.jit import jit
from wsiseg.synthetic.nuclei import Nuclei


@jit
def rasterise(
    nuclei: Nuclei, x0: int, y0: int, owner: npt.NDArray[np.int32], rho: npt.NDArray[np.float32], mpp: float
) -> None:
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
