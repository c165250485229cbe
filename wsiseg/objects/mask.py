"""Confidence to a clean mask: threshold, the paper's opening and closing, small holes filled."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from wsiseg.objects.scales import Scales


def threshold_u8(threshold: float) -> int:
    """Return the smallest uint8 confidence c with c / 255 >= threshold."""
    return min(255, max(1, math.ceil(255 * threshold - 1e-9)))


def disk(radius_px: int) -> NDArray[np.uint8]:
    """Return the pixels within `radius_px` of the middle one, as scikit-image's ``disk``."""
    row, col = np.ogrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1]
    return (row * row + col * col <= radius_px * radius_px).astype(np.uint8)


def clean_mask(confidence: NDArray[np.uint8], threshold: float, scales: Scales) -> NDArray[np.uint8]:
    """Return the cleaned mask of nuclei.

    What lies outside of the array neither erodes nor dilates (the border rule of both scikit-image's
    binary morphology and OpenCV's default), so the frame's own border is no background.

    Parameters
    ----------
    confidence : ndarray of uint8, shape (rows, cols)
        Confidence times 255.
    threshold : float
        Confidence in (0, 1) from which a pixel is nucleus.
    scales : Scales
        Sizes in pixels.

    Returns
    -------
    ndarray of uint8, shape (rows, cols)
        1 in nuclei, 0 elsewhere; right at `Scales.mask_reach_px` from edges that cut the frame.
    """
    mask: NDArray[np.uint8] = cv2.threshold(confidence, threshold_u8(threshold) - 1, 1, cv2.THRESH_BINARY)[1]
    for radii in scales.clean_px:
        for operation, radius in zip((cv2.MORPH_OPEN, cv2.MORPH_CLOSE), radii, strict=True):
            if radius:
                mask = cv2.morphologyEx(mask, operation, disk(radius))
    if scales.hole_area_px:
        _fill_holes(mask, scales)
    return mask


def _fill_holes(mask: NDArray[np.uint8], scales: Scales) -> None:
    """Fill, in place, background regions (8-connected) that are small in area and bounding box."""
    count, regions, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=8, ltype=cv2.CV_32S)
    small = (
        (stats[:, cv2.CC_STAT_AREA] <= scales.hole_area_px)
        & (stats[:, cv2.CC_STAT_WIDTH] <= scales.hole_side_px)
        & (stats[:, cv2.CC_STAT_HEIGHT] <= scales.hole_side_px)
    )
    small[0] = False  # region 0 is the mask itself
    for x, y, width, height in stats[small, :4]:
        part = np.s_[y : y + height, x : x + width]
        mask[part] |= small[regions[part]]
    del count
