"""Nuclei as nodes of the component tree of a stain map, each at its own threshold.

A node is a connected component of the pixels at or above some level (four neighbours). The tree of all of
them is built once; each node of a nucleus's size and shape is worth the contrast along its border, and the
best set of nodes that do not overlap is found from the leaves up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

LEVELS = 64
# Columns of a node's sums: area, x, y, xx, yy, xy, border edges, contrast summed over them.
SUMS = 8
# Mean length of a border edge of the pixel grid, for shapes of any direction.
EDGE_LENGTH = np.pi / 4


@dataclass(frozen=True)
class NucleusShape:
    """Limits of size and shape of a node that can be a nucleus.

    Parameters
    ----------
    min_area_um2, max_area_um2 : float
        Limits of its area.
    hole_um2 : float
        Holes and pale insides up to this area are filled before.
    contrast_quantile : float
        Border contrast counts above this quantile of the gradient between neighbouring pixels.
    min_ellipse : float
        Least area over the area of the ellipse of the same second moments.
    ellipse_power : float
        How much that ratio weighs in a node's worth.
    """

    min_area_um2: float = 7.5
    max_area_um2: float = 156.0
    hole_um2: float = 9.4
    contrast_quantile: float = 0.9
    min_ellipse: float = 0.8
    ellipse_power: float = 4.0


def find_nodes(
    density: npt.NDArray[np.float32], mpp: float, shape: NucleusShape
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Find the best set of disjoint nodes.

    Parameters
    ----------
    density : float32 (H, W)
        Larger for more nucleus.
    mpp : float
        Micrometres per pixel.
    shape : NucleusShape
        What counts as a nucleus.

    Returns
    -------
    labels : int32 (H, W)
        0 is background, 1 to n are nodes.
    worth : float64 (n + 1,)
        Worth of each node; 0 for the background.
    """
    low, high = np.quantile(density[::4, ::4], [0.02, 0.999])
    gain = LEVELS / max(float(high - low), 1e-6)
    levels = np.clip((density - low) * gain, 0, LEVELS).astype(np.uint8)
    if shape.hole_um2 > 0:
        levels = 255 - area_opening(255 - levels, shape.hole_um2 / mpp**2)
    steps = np.abs(np.diff(density, axis=1))[::3, ::3]
    least = float(np.quantile(steps, shape.contrast_quantile)) * gain
    parent, order = _tree(levels)
    sums = _node_sums(levels, parent, order)
    limits = shape.min_area_um2 / mpp**2, shape.max_area_um2 / mpp**2
    labels, worth = _best_nodes(
        levels, parent, order, sums, least, *limits, shape.ellipse_power, shape.min_ellipse
    )
    return labels, worth / gain


def area_opening(levels: npt.NDArray[np.uint8], area_px: float) -> npt.NDArray[np.uint8]:
    """Lower every peak until it is at least `area_px` large: uint8 (H, W) -> uint8 (H, W)."""
    parent, order = _tree(levels)
    opened: npt.NDArray[np.uint8] = _open(levels, parent, order, area_px)
    return opened


def merge_nodes(
    found: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]], overlap: float = 0.2
) -> npt.NDArray[np.int32]:
    """Merge several sets of nodes, the worthiest first.

    Parameters
    ----------
    found : list of (labels, worth)
        As `find_nodes` returns them, of one image.
    overlap : float
        A node is dropped when more than this share of it is taken.

    Returns
    -------
    int32 (H, W)
        Labels 1 to n.
    """
    places, starts, counts, base = [], [], [], 0
    for labels, worth in found:
        flat = labels.ravel()
        count = np.bincount(flat, minlength=len(worth))
        places.append(np.argsort(flat, kind="stable"))
        starts.append((np.cumsum(count) - count)[1:] + base)
        counts.append(count[1:])
        base += len(flat)
    merged = np.zeros(found[0][0].size, np.int32)
    order = np.argsort(-np.concatenate([worth[1:] for _, worth in found]), kind="stable")
    _paint(merged, np.concatenate(places), np.concatenate(starts), np.concatenate(counts), order, overlap)
    return merged.reshape(found[0][0].shape)


@njit(cache=True, nogil=True)
def _root(parent, i):
    root = i
    while parent[root] != root:
        root = parent[root]
    while parent[i] != root:
        parent[i], i = root, parent[i]
    return root


@njit(cache=True, nogil=True)
def _tree(levels):
    """Parent of each pixel, canonical, and the pixels by rising level (Berger et al., 2007)."""
    height, width = levels.shape
    size = height * width
    flat = levels.ravel()
    counts = np.zeros(257, np.int64)
    for i in range(size):
        counts[flat[i] + 1] += 1
    for i in range(256):
        counts[i + 1] += counts[i]
    order = np.empty(size, np.int32)
    for i in range(size):
        order[counts[flat[i]]] = i
        counts[flat[i]] += 1
    parent = np.full(size, -1, np.int32)
    joined = np.full(size, -1, np.int32)
    for k in range(size - 1, -1, -1):
        p = order[k]
        parent[p] = p
        joined[p] = p
        y, x = p // width, p % width
        for side in range(4):
            if side == 0:
                if y == 0:
                    continue
                q = p - width
            elif side == 1:
                if y == height - 1:
                    continue
                q = p + width
            elif side == 2:
                if x == 0:
                    continue
                q = p - 1
            else:
                if x == width - 1:
                    continue
                q = p + 1
            if joined[q] >= 0:
                root = _root(joined, q)
                if root != p:
                    parent[root] = p
                    joined[root] = p
    for k in range(size):
        p = order[k]
        q = parent[p]
        if flat[parent[q]] == flat[q]:
            parent[p] = parent[q]
    return parent, order


@njit(cache=True, nogil=True)
def _open(levels, parent, order, area_px):
    flat = levels.ravel()
    area = np.ones(flat.size, np.int64)
    for k in range(flat.size - 1, -1, -1):
        p = order[k]
        if parent[p] != p:
            area[parent[p]] += area[p]
    out = np.empty(flat.size, np.uint8)
    for k in range(flat.size):
        p = order[k]
        q = parent[p]
        out[p] = flat[p] if q == p or (flat[q] != flat[p] and area[p] >= area_px) else out[q]
    return out.reshape(levels.shape)


@njit(cache=True, nogil=True)
def _node_sums(levels, parent, order):
    """Sum up each node; kept at its canonical pixel: float64 (H * W, SUMS)."""
    height, width = levels.shape
    flat = levels.ravel()
    sums = np.zeros((flat.size, SUMS), np.float64)
    for p in range(flat.size):
        node = p if flat[parent[p]] != flat[p] or parent[p] == p else parent[p]
        y, x = p // width, p % width
        sums[node, 0] += 1
        sums[node, 1] += x
        sums[node, 2] += y
        sums[node, 3] += x * x + 1 / 12
        sums[node, 4] += y * y + 1 / 12
        sums[node, 5] += x * y
        for side in range(2):
            if (side == 0 and x == width - 1) or (side == 1 and y == height - 1):
                continue
            q = p + 1 if side == 0 else p + width
            if flat[p] == flat[q]:
                continue
            high, low = (p, q) if flat[p] > flat[q] else (q, p)
            above = high if flat[parent[high]] != flat[high] or parent[high] == high else parent[high]
            below = low if flat[parent[low]] != flat[low] or parent[low] == low else parent[low]
            step = float(flat[high]) - float(flat[low])
            sums[above, 6] += 1
            sums[above, 7] += step
            sums[below, 6] -= 1
            sums[below, 7] -= step
    for k in range(flat.size - 1, -1, -1):
        p = order[k]
        q = parent[p]
        if q != p and flat[q] != flat[p]:
            for j in range(SUMS):
                sums[q, j] += sums[p, j]
    return sums


@njit(cache=True, nogil=True)
def _worth(sums, least, ellipse_power, min_ellipse):
    area = sums[0]
    mean_x, mean_y = sums[1] / area, sums[2] / area
    xx, yy = sums[3] / area - mean_x * mean_x, sums[4] / area - mean_y * mean_y
    xy = sums[5] / area - mean_x * mean_y
    determinant = max(xx * yy - xy * xy, 1e-9)
    ellipse = area / (4 * np.pi * np.sqrt(determinant))
    trace = xx + yy
    major = trace / 2 + np.sqrt(max(trace * trace / 4 - determinant, 0.0))
    if ellipse <= min_ellipse or major >= 25 * max(trace - major, 1e-6):
        return 0.0
    contrast = sums[7] - least * sums[6] * EDGE_LENGTH
    return contrast * ellipse**ellipse_power if contrast > 0 else 0.0


@njit(cache=True, nogil=True)
def _best_nodes(levels, parent, order, sums, least, min_px, max_px, ellipse_power, min_ellipse):
    flat = levels.ravel()
    own = np.zeros(flat.size)
    inside = np.zeros(flat.size)
    for k in range(flat.size - 1, -1, -1):
        p = order[k]
        q = parent[p]
        if q != p and flat[q] == flat[p]:
            continue
        if q != p and flat[p] >= 1 and min_px <= sums[p, 0] <= max_px:
            own[p] = _worth(sums[p], least, ellipse_power, min_ellipse)
        # Negative: the nodes inside are worth more.
        if own[p] < inside[p]:
            own[p] = -inside[p]
        if q != p:
            inside[q] += abs(own[p])
    labels = np.zeros(flat.size, np.int32)
    worth = np.zeros(flat.size + 1)
    count = 0
    for k in range(flat.size):
        p = order[k]
        q = parent[p]
        if q == p:
            continue
        if flat[q] == flat[p] or labels[q] > 0:
            labels[p] = labels[q]
        elif own[p] > 0:
            count += 1
            labels[p] = count
            worth[count] = own[p]
    return labels.reshape(levels.shape), worth[: count + 1].copy()


@njit(cache=True, nogil=True)
def _paint(merged, places, starts, counts, order, overlap):
    number = 0
    for node in order:
        first, count = starts[node], counts[node]
        taken = 0
        for j in range(first, first + count):
            if merged[places[j]] > 0:
                taken += 1
        if count > 0 and taken <= overlap * count:
            number += 1
            for j in range(first, first + count):
                if merged[places[j]] == 0:
                    merged[places[j]] = number
