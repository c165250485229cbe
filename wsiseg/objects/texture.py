"""Haralick's texture of each object: how values of neighbouring pixels go together."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

TEXTURES = ("contrast", "correlation", "energy", "homogeneity")
STEP = 4
"""Bytes in one grey level of the co-occurrence matrix, which has 64."""


@njit(cache=True, nogil=True)
def _textures(labels, wanted, boxes, plane, row0, col0, step):
    textures = np.zeros((wanted.sum(), 4))
    levels = 255 // step + 1
    matrix = np.zeros((levels, levels), np.int64)
    index = -1
    for k in range(wanted.size):
        if not wanted[k]:
            continue
        index += 1
        first, last, pairs = levels, -1, 0
        for r in range(boxes[k, 0], boxes[k, 2]):
            for c in range(boxes[k, 1], boxes[k, 3]):
                if labels[r, c] != k + 1:
                    continue
                here = plane[r + row0, c + col0] // step
                first, last = min(first, here), max(last, here)
                for dr, dc in ((0, 1), (1, -1), (1, 0), (1, 1)):
                    y, x = r + dr, c + dc
                    if y < boxes[k, 2] and boxes[k, 1] <= x < boxes[k, 3] and labels[y, x] == k + 1:
                        there = plane[y + row0, x + col0] // step
                        matrix[here, there] += 1
                        matrix[there, here] += 1
                        pairs += 2
        total, squares, products, contrast, energy, near = 0, 0, 0, 0, 0, 0.0
        for i in range(first, last + 1):
            for j in range(first, last + 1):
                many = matrix[i, j]
                matrix[i, j] = 0
                total += many * i
                squares += many * i * i
                products += many * i * j
                contrast += many * (i - j) ** 2
                energy += many * many
                near += many / (1 + (i - j) ** 2)
        if pairs == 0:
            textures[index] = (0.0, 1.0, 1.0, 1.0)
            continue
        variance = pairs * squares - total * total
        correlation = 1.0
        if variance > 0:
            correlation = (pairs * products - total * total) / variance
        textures[index] = (contrast / pairs, correlation, np.sqrt(energy) / pairs, near / pairs)
    return textures


def textures(
    labels: NDArray[np.int32],
    wanted: NDArray[np.bool_],
    boxes: NDArray[np.int32],
    plane: NDArray[np.uint8],
    corner: tuple[int, int],
) -> NDArray[np.float64]:
    """Return the measures named in `TEXTURES` of the wanted objects.

    Each object has one symmetric co-occurrence matrix of 64 levels, from all pairs of its pixels that touch
    in any of the eight directions; the measures are those of scikit-image's `graycoprops`. One pixel alone,
    or one level, has contrast 0 and 1 of the others.

    Parameters are those of `wsiseg.objects.intensity.intensity_counts`, with one plane, uint8 (rows, cols).

    Returns
    -------
    ndarray of float64, shape (wanted.sum(), 4)
    """
    return _textures(labels, wanted, boxes, plane, *corner, STEP)  # type: ignore[no-any-return]
