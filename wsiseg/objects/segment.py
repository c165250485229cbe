"""The nuclei of one tile, exactly as on the whole frame, read with no more margin than they need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from wsiseg.config import ObjectsConfig
from wsiseg.objects.depth import Sides, depth_map
from wsiseg.objects.growth import UNKNOWN, grow
from wsiseg.objects.mask import clean_mask
from wsiseg.objects.peaks import find_peaks
from wsiseg.objects.scales import SMOOTH_PX, Scales, max_reach_px
from wsiseg.tiles import Box

__all__ = ["Segmented", "max_reach_px", "segment"]

FIRST_MARGIN_UM = 16.0
"""The margin tried first, beyond what the mask and the depth always need."""

Read = Callable[[Box], NDArray[np.uint8]]


@dataclass(frozen=True)
class Segmented:
    """The nuclei that touch one core, numbered 1..n in raster order of their markers.

    Parameters
    ----------
    core, window, frame : Box
        The core, the part of the frame around it that its objects lie in, and the frame.
    markers : ndarray of int64, shape (n, 2)
        Row and column, in the frame, of the marker of each object.
    owned : ndarray of bool, shape (n,)
        Whether the marker lies in the core.
    window_labels : ndarray of int32, shape (window.height, window.width)
        0 in the background, k in the k-th object; the owned ones are whole.
    confidence : ndarray of uint8, shape (window.height, window.width)
        The confidence that was read there.
    """

    core: Box
    window: Box
    frame: Box
    markers: NDArray[np.int64]
    owned: NDArray[np.bool_]
    window_labels: NDArray[np.int32]
    confidence: NDArray[np.uint8]

    @property
    def labels(self) -> NDArray[np.int32]:
        """The objects inside the core, int32 of shape (core.height, core.width)."""
        return self.window_labels[self.core.slices_in(self.window)]

    def kept(self, keep: NDArray[np.bool_]) -> Segmented:
        """Return only the objects where `keep`, bool of shape (n,), is true, renumbered."""
        if keep.all():
            return self
        number = np.zeros(len(keep) + 1, np.int32)
        number[1:][keep] = np.arange(1, int(keep.sum()) + 1)
        return replace(
            self,
            markers=self.markers[keep],
            owned=self.owned[keep],
            window_labels=number[self.window_labels],
        )


def segment(
    read: Read, core: Box, frame: Box, mpp: float, config: ObjectsConfig, threshold: float
) -> Segmented:
    """Find the nuclei that touch a core, the owned ones whole, exactly as on the whole frame.

    The core is read with a modest margin. Every step knows which of its results could change if there were
    more margin (`clean_mask` by a fixed reach, the others by following the doubt, see `grow`); where that
    reaches an object that touches the core, the margin is doubled, up to `max_reach_px`, from where nothing
    can reach the core by construction: every step looks at most so far.

    Parameters
    ----------
    read : callable
        Serves the confidence (uint8, shape (height, width)) of any box inside the frame.
    core, frame : Box
        The core, and the frame it lies in, in frame pixels.
    mpp : float
        Resolution of the frame in micrometres per pixel.
    config : ObjectsConfig
        How nuclei are found.
    threshold : float
        Confidence in (0, 1) from which a pixel is nucleus (`config.threshold` is not looked at).

    Returns
    -------
    Segmented
        The nuclei.
    """
    scales = Scales.of(mpp, config)
    reach = max_reach_px(mpp, config)
    margin = round(FIRST_MARGIN_UM / mpp)
    while True:
        halo = min(reach, scales.mask_reach_px + SMOOTH_PX + margin)
        window = core.grown(halo).clipped(frame)
        found = _segment_window(read(window), window, core, frame, scales, threshold, halo == reach)
        if found is not None:
            return found
        margin *= 2


def segment_whole(
    confidence: NDArray[np.uint8], mpp: float, config: ObjectsConfig, threshold: float
) -> Segmented:
    """Find the nuclei of a confidence map that is the whole frame, uint8 (rows, cols); see `segment`."""
    frame = Box(0, 0, confidence.shape[1], confidence.shape[0])
    return segment(lambda box: confidence[box.slices_in(frame)], frame, frame, mpp, config, threshold)


def _segment_window(
    confidence: NDArray[np.uint8],
    window: Box,
    core: Box,
    frame: Box,
    scales: Scales,
    threshold: float,
    exact: bool,
) -> Segmented | None:
    """Find the nuclei in one window; None where the margin is too small to be sure."""
    cut = Sides(window.y0 > frame.y0, window.x0 > frame.x0, window.y1 < frame.y1, window.x1 < frame.x1)
    clean = _trim_box(window, cut, scales.mask_reach_px)
    mask = np.ascontiguousarray(clean_mask(confidence, threshold, scales)[clean.slices_in(window)])
    depth, doubt = depth_map(mask, scales.deepest_px, cut)
    known = _trim_box(clean, cut, SMOOTH_PX)
    padded = known.grown(1)
    inner = padded.slices_in(clean.grown(1))
    depth, doubt = _bordered(depth[inner]), _bordered(doubt[inner])
    if exact:
        cut = Sides(False, False, False, False)
        doubt[:] = 0

    places, sure = find_peaks(depth, doubt, cut, (padded.y0, padded.x0), scales)
    grown = grow(depth, doubt, cut, places, sure, scales)
    core_rows, core_cols = core.slices_in(known)
    area, in_core, touched = _survey(
        grown, len(places) + 2, core_rows.start, core_rows.stop, core_cols.start, core_cols.stop
    )
    markers = places + np.array([padded.y0, padded.x0])
    owned = ((markers >= (core.y0, core.x0)) & (markers < (core.y1, core.x1))).all(axis=1)
    large = area[2:] >= scales.min_area_px
    if in_core[UNKNOWN] or (in_core[2:] & touched[2:] & (owned | ~large)).any():
        return None

    keep = np.flatnonzero(in_core[2:] & large)
    keep = keep[np.lexsort((markers[keep, 1], markers[keep, 0]))]
    number = np.zeros(len(places) + 2, np.int32)
    number[keep + 2] = np.arange(1, len(keep) + 1)
    return Segmented(
        core,
        known,
        frame,
        markers[keep],
        owned[keep],
        _renumbered(grown, number),
        np.ascontiguousarray(confidence[known.slices_in(window)]),
    )


def _trim_box(box: Box, cut: Sides, margin: int) -> Box:
    """Return the box without `margin` pixels at each cut side."""
    return Box(
        box.x0 + margin * cut.left,
        box.y0 + margin * cut.top,
        box.x1 - margin * cut.right,
        box.y1 - margin * cut.bottom,
    )


def _bordered(array: NDArray[Any]) -> NDArray[Any]:
    """Return a contiguous copy whose outermost pixels are zero."""
    array = np.array(array, order="C")
    array[0], array[-1], array[:, 0], array[:, -1] = 0, 0, 0, 0
    return array


@njit(cache=True, nogil=True)
def _renumbered(labels, number):
    """Return the labels without their border, renumbered."""
    new = np.empty((labels.shape[0] - 2, labels.shape[1] - 2), np.int32)
    for r in range(new.shape[0]):
        old, here = labels[r + 1, 1:-1], new[r]
        for c in range(old.size):
            here[c] = number[np.uint32(old[c])]
    return new


@njit(cache=True, nogil=True)
def _survey(grown, count, row0, row1, col0, col1):
    """Area of each label, whether it has a pixel in the core, and whether it touches the unknown.

    `grown` has a border of zeros, which the places of the core do not count.
    """
    area = np.zeros(count, np.int64)
    in_core = np.zeros(count, np.bool_)
    touched = np.zeros(count, np.bool_)
    for r in range(grown.shape[0] - 2):
        here, above = grown[r + 1], grown[r]
        inside = row0 <= r < row1
        for c in range(1, here.size - 1):
            k = here[c]
            if k == 0:
                continue
            area[k] += 1
            if inside and col0 < c <= col1:
                in_core[k] = True
            if k == 1:
                touched[above[c]] = True
                touched[here[c - 1]] = True
            elif above[c] == 1 or here[c - 1] == 1:
                touched[k] = True
    touched[0] = False
    return area, in_core, touched
