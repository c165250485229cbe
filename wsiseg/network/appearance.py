"""What the network sees of a slide's pixels: plain colours, or its stains brought to one common scale.

Both are one table: every channel of the input is a sum over red, green and blue of a function of that value,
because optical density is a logarithm and stain separation is linear. So the same kernel serves both, and
training and inference share it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

# Ruifrok & Johnston (2001): optical densities of red, green, blue; rows haematoxylin, eosin, DAB.
HED_OPTICAL_DENSITY = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
# A tissue pixel is darker than this mean optical density.
TISSUE_DENSITY = 0.1
MIN_TISSUE_PX = 1000
# Marking dyes absorb red far more than green; haematoxylin absorbs both alike, or is pale.
INK_RED, INK_RED_TO_GREEN = 0.7, 1.6
# With this, or darker, scanners fill what they did not scan.
UNSCANNED = 10
# Standardised stains lie mostly within (0, 1): the mean at CENTRE, a standard deviation is SPREAD.
CENTRE, SPREAD = 0.4, 0.15


@dataclass(frozen=True)
class StainScale:
    """Mean and standard deviation of haematoxylin, eosin and residual density over a slide's tissue."""

    mean: tuple[float, float, float]
    sd: tuple[float, float, float]

    @classmethod
    def of(cls, rgb: npt.NDArray[np.uint8]) -> StainScale:
        """Measure pixels of a slide, uint8 (..., 3); all count where little is tissue; none gives (0, 1).

        Glass, what was not scanned (white or black), and blue or green ink are no tissue.
        """
        pixels = rgb.reshape(-1, 3)
        if not len(pixels):
            return cls((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        # The stains are linear in the densities, and so are their means, and their covariances twice.
        pixels = np.ascontiguousarray(pixels)
        count, total, squares = _moments(pixels, _density(), TISSUE_DENSITY)
        if count < MIN_TISSUE_PX:
            count, total, squares = _moments(pixels, _density(), -1.0)
        if not count:
            return cls((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        centre, separation = total / count, _separation()
        covariance = separation.T @ (squares / count - np.outer(centre, centre)) @ separation
        mean, sd = centre @ separation, np.sqrt(np.maximum(np.diag(covariance), 0)) + 1e-3
        return cls(
            (float(mean[0]), float(mean[1]), float(mean[2])), (float(sd[0]), float(sd[1]), float(sd[2]))
        )


def _density() -> npt.NDArray[np.float64]:
    """Optical density of each 8-bit value, (256,)."""
    return -np.log((np.arange(256) + 1) / 256)


def _separation() -> npt.NDArray[np.float64]:
    """Matrix from the optical density of colours (row vectors) to that of stains."""
    return np.linalg.inv(HED_OPTICAL_DENSITY)


def rgb_table() -> npt.NDArray[np.float32]:
    """Return the table of plain colours in [0, 1]: float32 (3 colours, 256 values, 3 channels)."""
    table = np.zeros((3, 256, 3), np.float32)
    for channel in range(3):
        table[channel, :, channel] = np.arange(256) / 255
    return table


def stain_table(scale: StainScale) -> npt.NDArray[np.float32]:
    """Return the table of a slide's standardised stains: float32 (3 colours, 256 values, 3 channels)."""
    gain = SPREAD / np.array(scale.sd)
    # Each colour carries a third of the constant.
    constant = (CENTRE - gain * np.array(scale.mean)) / 3
    table: npt.NDArray[np.float64] = _density()[None, :, None] * _separation()[:, None, :] * gain + constant
    return table.astype(np.float32)


def network_input(rgb: npt.NDArray[np.uint8], table: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what the network sees: uint8 (H, W, 3) -> float32 (3, H, W) in [0.05, 1].

    Values are clipped to [0, 1] and mapped to 0.95 x + 0.05, which keeps a masked pixel (0) apart from a
    black one (authors' code).
    """
    planes = np.empty((3, *rgb.shape[:2]), np.float32)
    _look_up(rgb, table, planes)
    return planes


@njit(cache=True, nogil=True)
def _moments(pixels, density, least):
    """Count pixels of a mean density above `least`; sum their densities and the products of these."""
    count = 0
    total, squares = np.zeros(3), np.zeros((3, 3))
    for i in range(pixels.shape[0]):
        red, green, blue = density[pixels[i, 0]], density[pixels[i, 1]], density[pixels[i, 2]]
        unscanned = max(pixels[i, 0], pixels[i, 1], pixels[i, 2]) <= UNSCANNED
        ink = red > INK_RED and red > INK_RED_TO_GREEN * green
        if (red + green + blue) / 3 > least and not unscanned and not ink:
            count += 1
            total[0] += red
            total[1] += green
            total[2] += blue
            squares[0, 0] += red * red
            squares[0, 1] += red * green
            squares[0, 2] += red * blue
            squares[1, 1] += green * green
            squares[1, 2] += green * blue
            squares[2, 2] += blue * blue
    squares[1, 0], squares[2, 0], squares[2, 1] = squares[0, 1], squares[0, 2], squares[1, 2]
    return count, total, squares


@njit(cache=True, nogil=True)
def _look_up(rgb, table, planes):
    rows, cols, _ = rgb.shape
    for r in range(rows):
        for c in range(cols):
            red, green, blue = table[0, rgb[r, c, 0]], table[1, rgb[r, c, 1]], table[2, rgb[r, c, 2]]
            for k in range(3):
                value = red[k] + green[k] + blue[k]
                planes[k, r, c] = np.float32(0.95) * min(
                    max(value, np.float32(0)), np.float32(1)
                ) + np.float32(0.05)
