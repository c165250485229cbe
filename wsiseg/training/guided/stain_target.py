"""Nuclei according to the haematoxylin stain: reference of the label-free score, and weak target."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from skimage.filters import threshold_otsu

from wsiseg.network.appearance import HED_OPTICAL_DENSITY
from wsiseg.training.config import StainTarget
from wsiseg.training.guided.component_tree import NucleusShape, find_nodes, merge_nodes

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
# Densities are in units of log(1e-6), as scikit-image's.
DARKEST = 1e-6
HOLE_UM2, SPECK_UM2 = 9.4, 3.75
GLASS = 215


def haematoxylin(rgb: Pixels) -> npt.NDArray[np.float32]:
    """Return the haematoxylin density as scikit-image's `rgb2hed` does: uint8 (..., 3) -> float32 (...)."""
    density = np.log(np.maximum(np.arange(256) / 255, DARKEST)) / np.log(DARKEST)
    weights = np.linalg.inv(HED_OPTICAL_DENSITY)[:, 0]
    red, green, blue = ((density * weight).astype(np.float32) for weight in weights)
    found: npt.NDArray[np.float32] = np.maximum(
        red[rgb[..., 0]] + green[rgb[..., 1]] + blue[rgb[..., 2]], np.float32(0)
    )
    return found


def otsu_mask(rgb: Pixels, sigma_px: float = 1.0) -> Mask:
    """Return where the smoothed haematoxylin density is above Otsu's threshold: (H, W, 3) -> bool (H, W)."""
    density = smoothed(haematoxylin(rgb), sigma_px)
    mask: Mask = density > threshold_otsu(density)
    return mask


def local_mask(rgb: Pixels, target: StainTarget, mpp: float) -> Mask:
    """Return where haematoxylin stands out from its neighbourhood.

    A pixel is nucleus where the smoothed density is above mean + spread x standard deviation of the
    neighbourhood and not much below Otsu's threshold of the whole window; small holes are filled and
    specks dropped.

    Parameters
    ----------
    rgb : uint8 (H, W, 3)
        Pixels.
    target : StainTarget
        Sizes and thresholds.
    mpp : float
        Micrometres per pixel.

    Returns
    -------
    bool (H, W)
    """
    density = smoothed(haematoxylin(rgb), target.sigma_um / mpp)
    mean = _neighbourhood(density, target.window_um / mpp)
    square = _neighbourhood(density * density, target.window_um / mpp)
    spread = np.sqrt(np.maximum(square - mean * mean, 0))
    least = density.mean() + target.floor * (threshold_otsu(density) - density.mean())
    mask = (density > mean + target.spread * spread) & (density > least)
    return without_specks(without_holes(mask, mpp), SPECK_UM2 / mpp**2)


def nucleus_nodes(
    rgb: Pixels, target: StainTarget, mpp: float
) -> list[tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]]:
    """Return candidates for single nuclei, each at its own threshold: labels and worth of several trees."""
    density = haematoxylin(rgb)
    shapes = [NucleusShape(hole_um2=hole) for hole in target.holes_um2]
    scales = [smoothed(density, sigma / mpp) for sigma in target.scales_um]
    return [find_nodes(smooth, mpp, shape) for smooth in scales for shape in shapes]


def pseudo_target(rgb: Pixels, target: StainTarget, mpp: float) -> Pixels:
    """Return the target of the first four channels, according to the stain.

    Parameters
    ----------
    rgb : uint8 (H, W, 3)
        Pixels.
    target : StainTarget
        Sizes and thresholds.
    mpp : float
        Micrometres per pixel.

    Returns
    -------
    uint8 (H, W, 4), 255 for 1
        Nucleus (half `local_mask`, half `nucleus_nodes`); inside of a nucleus, away from its border; other
        tissue; glass.
    """
    local, nodes = local_mask(rgb, target, mpp), merge_nodes(nucleus_nodes(rgb, target, mpp))
    return target_planes(rgb, 0.5 * local + 0.5 * without_holes(nodes > 0, mpp), insides(nodes))


def target_planes(rgb: Pixels, nucleus: npt.NDArray[np.floating], inside: npt.NDArray[np.floating]) -> Pixels:
    """Return the target of four channels: nucleus, inside, other tissue, glass; uint8 (H, W, 4)."""
    glass = rgb.min(-1) > GLASS
    planes = [nucleus, inside, (1 - nucleus) * ~glass, glass.astype(np.float64)]
    rounded: Pixels = np.rint(255 * np.stack(planes, axis=-1)).astype(np.uint8)
    return rounded


def insides(nodes: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """Return 1 in the middle of each node, falling to 0 towards its border and that to its neighbours."""
    import cv2

    border = np.zeros(nodes.shape, bool)
    border[:, 1:] |= nodes[:, 1:] != nodes[:, :-1]
    border[1:] |= nodes[1:] != nodes[:-1]
    depth = cv2.distanceTransform(((nodes > 0) & ~border).astype(np.uint8), cv2.DIST_L2, 3)
    deepest = np.zeros(int(nodes.max()) + 1, depth.dtype)
    np.maximum.at(deepest, nodes.ravel(), depth.ravel())
    share = depth / np.maximum(deepest.astype(np.float64)[nodes], 1)
    return np.where(nodes > 0, np.clip(1.6 * share - 0.2, 0, 1), 0.0)


def without_specks(mask: Mask, area_px: float) -> Mask:
    """Drop components (4 neighbours) smaller than `area_px`."""
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    kept: Mask = (stats[:, cv2.CC_STAT_AREA] >= area_px)[labels] & mask
    return kept


def without_holes(mask: Mask, mpp: float) -> Mask:
    """Fill holes up to 9.4 um2."""
    return ~without_specks(~mask, HOLE_UM2 / mpp**2)


def smoothed(density: npt.NDArray[np.float32], sigma_px: float) -> npt.NDArray[np.float32]:
    """Return the Gaussian mean."""
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
    blurred = smoothed(np.asarray(coarse, np.float32), sigma_px / step)
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
