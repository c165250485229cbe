"""Where the haematoxylin stain says nuclei are: reference of the label-free score, and weak target."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from wsiseg.training.config import StainTarget, TrainingConfig

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
# rgb_from_hed of Ruifrok & Johnston (2001), rows haematoxylin, eosin, DAB; densities in units of log(1e-6).
RGB_FROM_HED = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
DARKEST = 1e-6


def haematoxylin(rgb: Pixels) -> npt.NDArray[np.float32]:
    """Return the haematoxylin density as scikit-image's `rgb2hed` does: uint8 (..., 3) -> float32 (...)."""
    density = np.log(np.maximum(np.arange(256) / 255, DARKEST)) / np.log(DARKEST)
    weights = np.linalg.inv(RGB_FROM_HED)[:, 0]
    red, green, blue = ((density * weight).astype(np.float32) for weight in weights)
    found: npt.NDArray[np.float32] = np.maximum(
        red[rgb[..., 0]] + green[rgb[..., 1]] + blue[rgb[..., 2]], np.float32(0)
    )
    return found


def otsu_mask(rgb: Pixels, sigma_px: float = 1.0) -> Mask:
    """Return where the smoothed haematoxylin density is above Otsu's threshold: (H, W, 3) -> bool (H, W)."""
    density = _smoothed(haematoxylin(rgb), sigma_px)
    return density > _otsu(density)


def local_mask(rgb: Pixels, target: StainTarget, mpp: float) -> Mask:
    """Return where haematoxylin stands out from its neighbourhood.

    A pixel is nucleus where the smoothed density is above mean + spread x standard deviation of the
    neighbourhood and not much below Otsu's threshold of the whole crop.

    Parameters
    ----------
    rgb : uint8 (H, W, 3)
    target : StainTarget
        Sizes and thresholds.
    mpp : float
        Micrometres per pixel.

    Returns
    -------
    bool (H, W)
    """
    density = _smoothed(haematoxylin(rgb), target.sigma_um / mpp)
    mean = _neighbourhood(density, target.window_um / mpp)
    square = _neighbourhood(density * density, target.window_um / mpp)
    spread = np.sqrt(np.maximum(square - mean * mean, 0))
    least = density.mean() + target.floor * (_otsu(density) - density.mean())
    mask: Mask = (density > mean + target.spread * spread) & (density > least)
    return mask


def _smoothed(density: npt.NDArray[np.float32], sigma_px: float) -> npt.NDArray[np.float32]:
    import cv2

    return np.asarray(
        cv2.GaussianBlur(density, (0, 0), max(sigma_px, 0.1), borderType=cv2.BORDER_REFLECT), np.float32
    )


def _neighbourhood(values: npt.NDArray[np.float32], sigma_px: float) -> npt.NDArray[np.float32]:
    """Gaussian mean of a wide neighbourhood, on a grid as coarse as its width allows."""
    import cv2

    height, width = values.shape
    step = max(1, int(sigma_px // 8))
    coarse = cv2.resize(values, (-(-width // step), -(-height // step)), interpolation=cv2.INTER_AREA)
    blurred = _smoothed(np.asarray(coarse, np.float32), sigma_px / step)
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _otsu(density: npt.NDArray[np.float32]) -> float:
    """Otsu's threshold on 256 bins; the value itself where all are equal."""
    low, high = float(density.min()), float(density.max())
    if high <= low:
        return high
    counts, edges = np.histogram(density, bins=256, range=(low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = counts.sum() - below
    moment = np.cumsum(counts * centres)
    means = moment[:-1] / np.maximum(below, 1), (moment[-1] - moment[:-1]) / np.maximum(above, 1)
    return float(centres[int(np.argmax(below * above * (means[0] - means[1]) ** 2))])


def target_maker(config: TrainingConfig) -> Callable[[Pixels], Pixels] | None:
    """Return what makes the target of a window, uint8 (H, W, 3) -> uint8 (H, W, T); None without a target."""
    if config.target.weight == 0:
        return None

    def make(rgb: Pixels) -> Pixels:
        return local_mask(rgb, config.target, config.mpp)[..., None] * np.uint8(255)

    return make
