"""What stain and grey level are like inside each object, and across its outline."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

COUNTS = ("sum", "squares", "least", "most", "twice_median")


@njit(cache=True, nogil=True)
def _counts(labels, wanted, boxes, planes, row0, col0):
    counts = np.zeros((wanted.sum(), planes.shape[0], 5), np.int64)
    histogram = np.zeros(256, np.int64)
    index = -1
    for k in range(wanted.size):
        if not wanted[k]:
            continue
        index += 1
        for p in range(planes.shape[0]):
            histogram[:] = 0
            for r in range(boxes[k, 0], boxes[k, 2]):
                for c in range(boxes[k, 1], boxes[k, 3]):
                    if labels[r, c] == k + 1:
                        histogram[planes[p, r + row0, c + col0]] += 1
            area = histogram.sum()
            here = counts[index, p]
            here[2] = -1
            seen = 0
            for value in range(256):
                many = histogram[value]
                if many == 0:
                    continue
                here[0] += many * value
                here[1] += many * value * value
                if here[2] < 0:
                    here[2] = value
                here[3] = value
                # The two middle ones of an even number, twice the same one of an odd.
                for middle in ((area - 1) // 2, area // 2):
                    if seen <= middle < seen + many:
                        here[4] += value
                seen += many
    return counts


def intensity_counts(
    labels: NDArray[np.int32],
    wanted: NDArray[np.bool_],
    boxes: NDArray[np.int32],
    planes: NDArray[np.uint8],
    corner: tuple[int, int],
) -> NDArray[np.int64]:
    """Return the whole numbers named in `COUNTS` over the pixels of the wanted objects.

    Parameters
    ----------
    labels : ndarray of int32, shape (rows, cols)
        Objects 1..n.
    wanted : ndarray of bool, shape (n,)
        Which of them are measured.
    boxes : ndarray of int32, shape (n, 4)
        Their `bounding_boxes`.
    planes : ndarray of uint8, shape (planes, rows + more, cols + more)
        What is measured, with a margin.
    corner : tuple of int
        Row and column of the first label in the planes.

    Returns
    -------
    ndarray of int64, shape (wanted.sum(), planes, 5)
    """
    return _counts(labels, wanted, boxes, planes, *corner)  # type: ignore[no-any-return]


def spread(counts: NDArray[np.int64], area_px: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return mean, median, standard deviation, least and largest value from counts of one plane, (n, 5)."""
    total, squares = counts[:, 0], counts[:, 1]
    return {
        "mean": total / area_px,
        "median": counts[:, 4] / 2,
        "sd": np.sqrt(area_px * squares - total * total) / area_px,
        "min": counts[:, 2].astype(np.float64),
        "max": counts[:, 3].astype(np.float64),
    }


@njit(cache=True, nogil=True)
def _contrast(labels, wanted, boxes, plane, row0, col0):
    contrast = np.zeros(wanted.sum())
    index = -1
    for k in range(wanted.size):
        if not wanted[k]:
            continue
        index += 1
        pairs, total = 0, 0
        for r in range(boxes[k, 0], boxes[k, 2]):
            for c in range(boxes[k, 1], boxes[k, 3]):
                if labels[r, c] != k + 1:
                    continue
                for dr, dc in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                    y, x = r + dr, c + dc
                    within = 0 <= y < labels.shape[0] and 0 <= x < labels.shape[1]
                    if within and labels[y, x] == k + 1:
                        continue
                    if 0 <= y + row0 < plane.shape[0] and 0 <= x + col0 < plane.shape[1]:
                        pairs += 1
                        total += plane[r + row0, c + col0]
                        total -= plane[y + row0, x + col0]
        contrast[index] = total / max(pairs, 1)
    return contrast


def boundary_contrast(
    labels: NDArray[np.int32],
    wanted: NDArray[np.bool_],
    boxes: NDArray[np.int32],
    plane: NDArray[np.uint8],
    corner: tuple[int, int],
) -> NDArray[np.float64]:
    """Return by how much a plane falls across each object's outline, from pixel to pixel, on average.

    Parameters are those of `intensity_counts`; the plane must reach a pixel further than the objects, except
    at the edge of the frame.

    Returns
    -------
    ndarray of float64, shape (wanted.sum(),)
        0 for an object without an outside.
    """
    return _contrast(labels, wanted, boxes, plane, *corner)  # type: ignore[no-any-return]
