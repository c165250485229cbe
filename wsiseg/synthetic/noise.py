"""Noise that is a pure function of place: hashed lattice noise for shapes, tileable textures for detail."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from wsiseg.synthetic.jit import jit

TEXTURE_PX = 1024
TEXEL_UM = 0.25

_MASK = 0xFFFFFFFF


@jit
def hash32(i: int, j: int, salt: int) -> int:
    """Return 32 well-mixed bits of two lattice indices and a salt, as an int64."""
    h = (i * 374761393 + j * 668265263 + salt * 1442695041) & _MASK
    h = ((h ^ (h >> 15)) * 739982445) & _MASK
    h = ((h ^ (h >> 12)) * 695872825) & _MASK
    return h ^ (h >> 15)


@jit
def uniform(i: int, j: int, salt: int) -> float:
    """Return a number in [0, 1) that depends on the indices and the salt only."""
    return hash32(i, j, salt) / 4294967296.0


@jit
def normal(i: int, j: int, salt: int) -> float:
    """Return a number with about a normal distribution, cut at 3.5 (a sum of four uniform ones)."""
    total = uniform(i, j, salt) + uniform(i, j, salt + 7919)
    total += uniform(i, j, salt + 104729) + uniform(i, j, salt + 1299709)
    return (total - 2.0) * 1.7320508


@jit
def value_noise(x: float, y: float, salt: int) -> float:
    """Return smooth lattice noise in [-1, 1] at a place given in lattice units."""
    i, j = int(np.floor(x)), int(np.floor(y))
    u, v = x - i, y - j
    u = u * u * u * (u * (u * 6.0 - 15.0) + 10.0)
    v = v * v * v * (v * (v * 6.0 - 15.0) + 10.0)
    top = uniform(i, j, salt) * (1.0 - u) + uniform(i + 1, j, salt) * u
    bottom = uniform(i, j + 1, salt) * (1.0 - u) + uniform(i + 1, j + 1, salt) * u
    return 2.0 * (top * (1.0 - v) + bottom * v) - 1.0


@jit
def fractal_noise(x: float, y: float, octaves: int, salt: int) -> float:
    """Return octaves of `value_noise`, each turned, twice as fine and half as strong (sd about 0.4)."""
    total, weight, norm = 0.0, 1.0, 0.0
    x, y = 0.8 * x - 0.6 * y, 0.6 * x + 0.8 * y
    for octave in range(octaves):
        total += weight * value_noise(x, y, salt + octave)
        norm += weight * weight
        x, y = 1.6 * x - 1.2 * y + 17.3, 1.2 * x + 1.6 * y - 5.7
        weight *= 0.5
    return float(total / np.sqrt(norm))


@jit
def sample(texture: npt.NDArray[np.float32], x: float, y: float) -> float:
    """Return a tileable texture of side `TEXTURE_PX`, bilinear, at a place in texels."""
    i, j = int(np.floor(x)), int(np.floor(y))
    u, v = np.float32(x - i), np.float32(y - j)
    i0, j0 = i & 1023, j & 1023
    i1, j1 = (i + 1) & 1023, (j + 1) & 1023
    top = texture[j0, i0] + u * (texture[j0, i1] - texture[j0, i0])
    bottom = texture[j1, i0] + u * (texture[j1, i1] - texture[j1, i0])
    return float(top + v * (bottom - top))


@jit
def pick(texture: npt.NDArray[np.float32], x: float, y: float) -> float:
    """Return the texel of a tileable texture at a place in texels."""
    return float(texture[int(np.floor(y)) & 1023, int(np.floor(x)) & 1023])


@lru_cache(maxsize=2)
def textures(mpp: float) -> npt.NDArray[np.float32]:
    """Make the tileable textures: (3, 1024, 1024) of mean 0 and sd 1.

    0: grains of 0.4 to 3 um, 1: mottling of 2 to 8 um, 2: the scanner's noise, one texel a pixel.
    The first two lie at `TEXEL_UM`; for coarser pixels they are smoothed, so that sampling does not alias.
    """
    extra = 0.5 * np.sqrt(max((mpp / TEXEL_UM) ** 2 - 1.0, 0.0))
    stack = np.empty((3, TEXTURE_PX, TEXTURE_PX), np.float32)
    grain, mottle, stack[2] = _unsmoothed()
    for plane, total in ((stack[0], grain), (stack[1], mottle)):
        plane[:] = ndi.gaussian_filter(total, extra, mode="wrap") if extra > 0 else total
    stack.setflags(write=False)
    return stack


@lru_cache(maxsize=1)
def _unsmoothed() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """Make grains, mottling and the scanner's noise, which are the same at every resolution."""
    rng = np.random.default_rng(20231)

    def band(sigmas: tuple[float, ...], weights: tuple[float, ...]) -> npt.NDArray[np.float64]:
        total = np.zeros((TEXTURE_PX, TEXTURE_PX))
        for sigma, weight in zip(sigmas, weights, strict=True):
            layer = ndi.gaussian_filter(rng.standard_normal(total.shape), sigma, mode="wrap")
            total += weight * layer / layer.std()
        total /= total.std()
        return total

    grain = band((0.7, 1.4, 2.8), (0.9, 1.0, 0.6))
    mottle = band((3.0, 7.0, 14.0), (0.6, 1.0, 0.9))
    scanner = ndi.gaussian_filter(rng.standard_normal(grain.shape), 0.6, mode="wrap")
    return grain, mottle, (scanner / scanner.std()).astype(np.float32)
