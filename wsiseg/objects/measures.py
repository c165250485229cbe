"""Sums over the pixels of every object, in one pass, and what follows from them."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsiseg.objects.outlines import Rings

SUMS = ("area", "row", "col", "row2", "col2", "row_col", "confidence", "haematoxylin")


@njit(cache=True, nogil=True)
def _sums(labels, wanted, boxes, markers, confidence, half, row0, col0):
    sums = np.zeros((wanted.sum(), 8), np.int64)
    half_row0, half_col0 = row0 // 2, col0 // 2
    with_half = half.size > 0
    index = -1
    for k in range(wanted.size):
        if not wanted[k]:
            continue
        index += 1
        here = sums[index]
        begin, end = boxes[k, 1], boxes[k, 3]
        x0 = col0 + begin - markers[k, 1]
        half_from = col0 + begin - 2 * half_col0
        for r in range(boxes[k, 0], boxes[k, 2]):
            y = row0 + r - markers[k, 0]
            row, certainty = labels[r, begin:end], confidence[r, begin:end]
            count, along, along2, certain, stain = 0, 0, 0, 0, 0
            for i in range(row.size):
                if row[i] == k + 1:
                    count += 1
                    along += x0 + i
                    along2 += (x0 + i) * (x0 + i)
                    certain += certainty[i]
            if with_half:
                half_row = half[(row0 + r) // 2 - half_row0]
                for i in range(row.size):
                    if row[i] == k + 1:
                        stain += half_row[(half_from + i) >> 1]
            here[0] += count
            here[1] += count * y
            here[2] += along
            here[3] += count * y * y
            here[4] += along2
            here[5] += along * y
            here[6] += certain
            here[7] += stain
    return sums


def pixel_sums(
    labels: NDArray[np.int32],
    wanted: NDArray[np.bool_],
    boxes: NDArray[np.int32],
    markers: NDArray[np.int64],
    confidence: NDArray[np.uint8],
    half: NDArray[np.uint8],
    origin: tuple[int, int],
) -> NDArray[np.int64]:
    """Return the sums named in `SUMS` over the pixels of the wanted objects, coordinates from the marker.

    They are whole numbers, so they do not depend on the window.

    Parameters
    ----------
    labels : ndarray of int32, shape (rows, cols)
        Objects 1..n.
    wanted : ndarray of bool, shape (n,)
        Which of them are summed.
    boxes : ndarray of int32, shape (n, 4)
        Their `bounding_boxes`.
    markers : ndarray of int64, shape (n, 2)
        Row and column of each object's marker in the frame.
    confidence : ndarray of uint8, shape (rows, cols)
        Confidence.
    half : ndarray of uint8
        Haematoxylin at half the resolution; its pixel (0, 0) holds the window's first; may be empty.
    origin : tuple of int
        Row and column of the window in the frame.

    Returns
    -------
    ndarray of int64, shape (wanted.sum(), 8)
        The sums.
    """
    return _sums(labels, wanted, boxes, markers, confidence, half, *origin)  # type: ignore[no-any-return]


def axes_px(sums: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return major and minor axis of the ellipse with the object's second moments, in pixels.

    A pixel is a square, not a point: it adds 1/12 to both variances, so a single pixel has axes of 2/sqrt(3).
    """
    area, row, col, row2, col2, row_col = (sums[:, i].astype(np.float64) for i in range(6))
    yy = row2 / area - (row / area) ** 2 + 1 / 12
    xx = col2 / area - (col / area) ** 2 + 1 / 12
    xy = row_col / area - (row / area) * (col / area)
    middle, spread = (yy + xx) / 2, np.sqrt(((yy - xx) / 2) ** 2 + xy**2)
    return 4 * np.sqrt(middle + spread), 4 * np.sqrt(np.maximum(middle - spread, 0))


def orientation_deg(sums: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the angle of the major axis against the x axis: counter-clockwise as seen, in [0, 180)."""
    area, row, col, row2, col2, row_col = sums[:, :6].T
    yy, xx, xy = area * row2 - row * row, area * col2 - col * col, area * row_col - row * col
    # Rows go down: counter-clockwise as seen is against them.
    half_turn: NDArray[np.float64] = np.degrees(np.arctan2(-2.0 * xy, xx - yy)) / 2
    return np.where(half_turn < 0, half_turn + 180, half_turn)


@njit(cache=True, nogil=True)
def _lengths(points, starts, owners, count):
    lengths = np.zeros(count)
    for i in range(owners.size):
        for j in range(starts[i], starts[i + 1] - 1):
            dx, dy = points[j + 1, 0] - points[j, 0], points[j + 1, 1] - points[j, 1]
            lengths[owners[i]] += np.sqrt(dx * dx + dy * dy)
    return lengths


def lengths_px(rings: Rings, count: int) -> NDArray[np.float64]:
    """Return the length of all rings of each of `count` objects."""
    return _lengths(*rings, count)  # type: ignore[no-any-return]
