"""Haematoxylin, eosin and grey level of RGB pixels, one byte per pixel each."""

from __future__ import annotations

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from wsiseg.config import STAIN_OD_AT_255

# first columns of the inverse of Ruifrok and Johnston's H&E-DAB matrix (2001), as in scikit-image's rgb2hed
HAEMATOXYLIN = (1.87798274, -0.06590806, -0.60190736)
EOSIN = (-1.00767869, 1.13473037, -0.48041419)
# of red, green and blue in the luminance, as in scikit-image's rgb2gray
GREY = (0.2125, 0.7154, 0.0721)
# in rgb2hed's unit, the logarithm to base 1e-6: six decades of light
DENSITY_AT_255 = STAIN_OD_AT_255 / 6
FIXED_POINT = 2**16

READ_ONLY = types.Array(types.uint8, 2, "C", readonly=True)


def _tables(stain: tuple[float, float, float]) -> NDArray[np.int32]:
    """Return the share of each value of red, green and blue in a density, (3, 256), in fixed point."""
    value = np.maximum(np.arange(256) / 255, 1e-6)
    optical = np.log(value) / np.log(1e-6)
    steps = np.outer(stain, optical) * (255 / DENSITY_AT_255)
    return np.rint(steps * FIXED_POINT).astype(np.int32)


@numba.njit(types.void(READ_ONLY, types.int32[:, ::1], types.uint8[::1]), nogil=True, cache=True)
def _density(rgb: NDArray[np.uint8], tables: NDArray[np.int32], out: NDArray[np.uint8]) -> None:
    half = FIXED_POINT // 2
    for i in range(out.size):
        total = tables[0, rgb[i, 0]] + tables[1, rgb[i, 1]] + tables[2, rgb[i, 2]] + half
        out[i] = min(max(total, 0) // FIXED_POINT, 255)


def haematoxylin_density(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return how much haematoxylin each pixel holds: channel 0 of scikit-image's `rgb2hed`, in bytes.

    Parameters
    ----------
    rgb : ndarray of uint8, (H, W, 3)
        Pixels.

    Returns
    -------
    ndarray of uint8, (H, W)
        round(255 * density / 0.5), where density is `rgb2hed`'s; at most 255 (a pixel with a channel at 0).
    """
    return _sums(rgb, _tables(HAEMATOXYLIN))


def stain_planes(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return haematoxylin, eosin and grey level of each pixel.

    Parameters
    ----------
    rgb : ndarray of uint8, (H, W, 3)
        Pixels.

    Returns
    -------
    ndarray of uint8, (3, H, W)
        Densities as in `haematoxylin_density` (channels 0 and 1 of `rgb2hed`), and scikit-image's `rgb2gray`
        from 0 to 255.
    """
    grey = np.rint(np.outer(GREY, np.arange(256)) * FIXED_POINT).astype(np.int32)
    return np.stack([_sums(rgb, tables) for tables in (_tables(HAEMATOXYLIN), _tables(EOSIN), grey)])


def _sums(rgb: NDArray[np.uint8], tables: NDArray[np.int32]) -> NDArray[np.uint8]:
    out = np.empty(rgb.shape[:2], np.uint8)
    _density(np.ascontiguousarray(rgb).reshape(-1, 3), tables, out.reshape(-1))
    return out
