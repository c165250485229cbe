"""Confidence to a clean mask: threshold, the paper's opening and closing, small holes filled."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsiseg.objects.growing import longer, longer_rows
from wsiseg.objects.scales import Scales


def threshold_u8(threshold: float) -> int:
    """Return the smallest uint8 confidence c with c / 255 >= threshold."""
    return min(255, max(1, math.ceil(255 * threshold - 1e-9)))


def disk(radius_px: int) -> NDArray[np.uint8]:
    """Return the pixels within `radius_px` of the middle one, as scikit-image's ``disk``."""
    row, col = np.ogrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1]
    return np.asarray(row * row + col * col <= radius_px * radius_px, np.uint8)


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
    mask: Any = cv2.threshold(confidence, threshold_u8(threshold) - 1, 1, cv2.THRESH_BINARY)[1]
    for radii in scales.clean_px:
        for operation, radius in zip((cv2.MORPH_OPEN, cv2.MORPH_CLOSE), radii, strict=True):
            if radius:
                mask = cv2.morphologyEx(mask, operation, disk(radius))
    if scales.hole_area_px:
        padded = np.pad(mask, ((0, 0), (0, -mask.shape[1] % 8)), constant_values=1)
        _fill_holes(mask, padded.view(np.uint64), scales.hole_area_px, scales.hole_side_px)
    return mask  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _fill_holes(mask, words, most_area, most_side):
    """Fill, in place, background regions (4-connected) that are small in area and bounding box.

    Runs of background in a row are joined to the runs they touch in the row above (union-find). `words` are
    the rows of the mask, padded with nuclei, eight pixels each: most of them are alike.
    """
    rows, cols = mask.shape
    eight = np.uint64(0x0101010101010101)
    none = np.uint64(0)
    runs = np.empty((4096, 3), np.int32)  # row, first column, last column + 1
    parent = np.empty(4096, np.int32)
    extent = np.empty((4096, 5), np.int32)  # of a root: area, first row, last row, first column, last column
    count, above, here = 0, 0, 0
    for r in range(rows):
        above, above_end, here = here, count, count
        c = 0
        while c < cols:
            if mask[r, c]:
                c += 1
                while c % 8 == 0 and c < cols and words[r, c // 8] == eight:
                    c += 8
                continue
            begin = c
            while c < cols and mask[r, c] == 0:
                c += 1
                while c % 8 == 0 and c < cols and words[r, c // 8] == none:
                    c += 8
            if count == parent.size:
                runs, parent, extent = longer_rows(runs), longer(parent), longer_rows(extent)
            runs[count, 0], runs[count, 1], runs[count, 2] = r, begin, c
            parent[count] = count
            extent[count, 0], extent[count, 1], extent[count, 2] = c - begin, r, r
            extent[count, 3], extent[count, 4] = begin, c - 1
            while above < above_end and runs[above, 2] <= begin:
                above += 1
            k = above
            while k < above_end and runs[k, 1] < c:
                one, other = _root(parent, k), _root(parent, count)
                if one != other:
                    one, other = min(one, other), max(one, other)
                    parent[other] = one
                    extent[one, 0] += extent[other, 0]
                    extent[one, 1] = min(extent[one, 1], extent[other, 1])
                    extent[one, 2] = max(extent[one, 2], extent[other, 2])
                    extent[one, 3] = min(extent[one, 3], extent[other, 3])
                    extent[one, 4] = max(extent[one, 4], extent[other, 4])
                k += 1
            count += 1
    for i in range(count):
        k = _root(parent, i)
        tall, wide = extent[k, 2] - extent[k, 1], extent[k, 4] - extent[k, 3]
        if extent[k, 0] <= most_area and tall < most_side and wide < most_side:
            for c in range(runs[i, 1], runs[i, 2]):
                mask[runs[i, 0], c] = 1


@njit(cache=True, nogil=True)
def _root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i
