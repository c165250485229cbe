"""How well predicted nuclei agree with true ones: Dice, AJI, PQ, F1 and the error of the count.

Everything follows from one sparse table of how many pixels each true nucleus shares with each predicted
one (`overlaps`). Conventions where something is empty: no nucleus on either side is perfect agreement
(every score 1, count error 0); nuclei on one side only score 0. Nuclei match where their IoU is *above* 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
LabelImage = npt.NDArray[np.integer] | npt.NDArray[np.bool_]
# Up to so many cells the table is counted densely, which is one pass; beyond, by sorting.
_DENSE_CELLS = 1 << 23
# Pixels counted at a time, so that memory does not grow with them.
_CHUNK_PX = 1 << 22


@dataclass(frozen=True)
class Overlaps:
    """Areas in pixels of T true and P predicted nuclei, and of every overlap between them.

    Parameters
    ----------
    truth_px, predicted_px : int64 (T,), (P,)
        Area of each nucleus.
    truth, predicted : int64 (n,)
        Index of the true and of the predicted nucleus of each pair that shares a pixel; pairs are in
        the order of the true nucleus, then of the predicted one.
    shared_px : int64 (n,)
        Pixels that the pair shares.
    """

    truth_px: IntArray
    predicted_px: IntArray
    truth: IntArray
    predicted: IntArray
    shared_px: IntArray

    @property
    def union_px(self) -> IntArray:
        """Pixels of either nucleus of each pair, int64 (n,)."""
        return self.truth_px[self.truth] + self.predicted_px[self.predicted] - self.shared_px

    @property
    def iou(self) -> npt.NDArray[np.float64]:
        """Intersection over union of each pair, float64 (n,)."""
        return self.shared_px / self.union_px


@dataclass(frozen=True)
class PanopticQuality:
    """PQ = SQ x DQ (Kirillov et al., 2019).

    Parameters
    ----------
    pq : float
        Sum of the IoU of the matched pairs / (matched + half of the unmatched nuclei on both sides).
    sq : float
        Segmentation quality: mean IoU of the matched pairs (0 when there is none).
    dq : float
        Detection quality: the F1 of the matching.
    """

    pq: float
    sq: float
    dq: float


@dataclass(frozen=True)
class Scores:
    """All scores of one image, each in [0, 1] but for the counts and the error of the count."""

    dice: float
    aji: float
    pq: float
    sq: float
    dq: float
    f1: float
    count_true: int
    count_predicted: int
    count_error: float


def overlaps(truth: LabelImage, predicted: LabelImage) -> Overlaps:
    """Count the pixels that true and predicted nuclei share.

    Parameters
    ----------
    truth, predicted : integer or bool (H, W)
        Label images: 0 is background, every other value one nucleus. Labels may have gaps.

    Raises
    ------
    ValueError
        If the two differ in shape, or a label is negative.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"label images of different shapes: {truth.shape} and {predicted.shape}")
    flat_truth, flat_predicted = _small_labels(truth), _small_labels(predicted)
    truth_px = np.zeros(int(flat_truth.max(initial=0)) + 1, np.int64)
    predicted_px = np.zeros(int(flat_predicted.max(initial=0)) + 1, np.int64)
    width = len(predicted_px)
    dense = len(truth_px) * width <= _DENSE_CELLS
    table = np.zeros(len(truth_px) * width if dense else 0, np.int64)
    cells, shares = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start in range(0, flat_truth.size, _CHUNK_PX):
        t, p = (flat[start : start + _CHUNK_PX] for flat in (flat_truth, flat_predicted))
        truth_px += np.bincount(t, minlength=len(truth_px))
        predicted_px += np.bincount(p, minlength=width)
        both = (t > 0) & (p > 0)
        pairs = t[both].astype(np.int64) * width + p[both]
        if dense:
            table += np.bincount(pairs, minlength=len(table))
        else:
            found, counts = np.unique(pairs, return_counts=True)
            cells.append(found)
            shares.append(counts)
    if dense:
        cell = np.flatnonzero(table)
        shared = table[cell]
    else:
        cell, where = np.unique(np.concatenate(cells), return_inverse=True)
        shared = np.bincount(where, np.concatenate(shares), minlength=len(cell)).astype(np.int64)
    truth_px[0] = predicted_px[0] = 0
    row, col = _numbers(truth_px)[cell // width], _numbers(predicted_px)[cell % width]
    return Overlaps(truth_px[truth_px > 0], predicted_px[predicted_px > 0], row, col, shared)


def _small_labels(labels: LabelImage) -> npt.NDArray[np.integer]:
    """Return the labels, flat; renumbered where they are far larger than the image."""
    flat: npt.NDArray[Any] = labels.ravel()
    if flat.dtype == np.bool_:
        flat = flat.view(np.uint8)
    if flat.size and flat.min() < 0:
        raise ValueError("a label image holds a negative label")
    if flat.size and int(flat.max()) > 4 * flat.size:
        values, inverse = np.unique(flat, return_inverse=True)
        return inverse + int(values[0] != 0)
    return flat


def _numbers(areas_px: IntArray) -> IntArray:
    """Return for each label its place among those that have an area."""
    numbers: IntArray = np.cumsum(areas_px > 0) - 1
    return numbers


def dice(truth: LabelImage, predicted: LabelImage) -> float:
    """Return 2 |T & P| / (|T| + |P|) of the foregrounds of two images (H, W); 1 where both are empty."""
    if truth.shape != predicted.shape:
        raise ValueError(f"images of different shapes: {truth.shape} and {predicted.shape}")
    total = int(np.count_nonzero(truth)) + int(np.count_nonzero(predicted))
    shared = int(np.count_nonzero((truth != 0) & (predicted != 0)))
    return 2 * shared / total if total else 1.0


def aji(table: Overlaps) -> float:
    """Return the aggregated Jaccard index (Kumar et al., IEEE TMI 2017, algorithm 1).

    Every true nucleus takes the predicted one of the largest IoU (which may be taken more than once);
    intersections and unions are summed; true nuclei that meet none and predicted ones never taken add
    their area to the union.
    """
    if len(table.truth_px) == 0 and len(table.predicted_px) == 0:
        return 1.0
    # Sorted by true nucleus, best IoU first, then the smaller index: the first of each is its match.
    order = np.lexsort((table.predicted, -table.iou, table.truth))
    matched, first = np.unique(table.truth[order], return_index=True)
    pairs = order[first]
    missed = int(table.truth_px.sum() - table.truth_px[matched].sum())
    used = np.zeros(len(table.predicted_px), bool)
    used[table.predicted[pairs]] = True
    union = int(table.union_px[pairs].sum()) + missed + int(table.predicted_px[~used].sum())
    return int(table.shared_px[pairs].sum()) / union


def pq(table: Overlaps) -> PanopticQuality:
    """Return PQ, SQ and DQ from a table of overlaps; above an IoU of 0.5 a nucleus matches one at most."""
    total = len(table.truth_px) + len(table.predicted_px)
    if total == 0:
        return PanopticQuality(1.0, 1.0, 1.0)
    matched = table.iou[table.iou > 0.5]
    dq = 2 * len(matched) / total
    sq = float(matched.mean()) if len(matched) else 0.0
    return PanopticQuality(sq * dq, sq, dq)


def score(truth: LabelImage, predicted: LabelImage) -> Scores:
    """Return all scores of two label images (H, W) from one table of overlaps.

    Raises
    ------
    ValueError
        If the two differ in shape, or a label is negative.
    """
    table = overlaps(truth, predicted)
    quality = pq(table)
    n_true, n_predicted = len(table.truth_px), len(table.predicted_px)
    area = int(table.truth_px.sum() + table.predicted_px.sum())
    return Scores(
        dice=2 * int(table.shared_px.sum()) / area if area else 1.0,
        aji=aji(table),
        pq=quality.pq,
        sq=quality.sq,
        dq=quality.dq,
        f1=quality.dq,
        count_true=n_true,
        count_predicted=n_predicted,
        count_error=abs(n_predicted - n_true) / max(n_true, 1),
    )
