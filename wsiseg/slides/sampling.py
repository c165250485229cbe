"""Pixels that stand for a slide's tissue: the same ones for the same slide, tissue and resolution."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import SlideError
from wsiseg.machine.cores import available_cores
from wsiseg.slides.tissue import Tissue
from wsiseg.slides.view import SlideView
from wsiseg.tiles import Box

WINDOWS = 64
WINDOW_PX = 128


def sample_boxes(view: SlideView, tissue: Tissue, count: int, side_px: int) -> list[Box]:
    """Return squares of the frame spread evenly over the tissue, in both directions.

    The tissue is parted into `count` pieces of equal area, always across its longer side, and each piece has
    one square, at its middle. The grid of the mask plays no part.

    Parameters
    ----------
    view : SlideView
        The slide at the network's resolution.
    tissue : Tissue
        Where the tissue is.
    count, side_px : int
        How many at most, and their side.

    Returns
    -------
    list of Box
        The whole frame where it is no larger than those; none where there is no tissue.
    """
    if view.width * view.height <= count * side_px**2:
        return [view.frame]
    middles = _pieces(_tissue_points(view, tissue, max(1, side_px // 2)), count)
    limits = np.maximum([view.width - side_px, view.height - side_px], 0)
    corners = [np.clip(middle - side_px // 2, 0, limits).tolist() for middle in middles]
    return [Box(x, y, x + side_px, y + side_px).clipped(view.frame) for x, y in corners]


def _tissue_points(view: SlideView, tissue: Tissue, pitch_px: int) -> NDArray[np.int64]:
    """Return (x, y) of the frame's points on tissue, on a lattice of this pitch: int64 (n, 2)."""
    rows, cols = (np.arange(pitch_px // 2, size, pitch_px) for size in (view.height, view.width))
    points = np.stack(np.meshgrid(cols, rows), -1).reshape(-1, 2)
    x_l0, y_l0 = ((points + 0.5) * view.scale_l0).T
    found = points[tissue.at(x_l0, y_l0)]
    if len(found):
        return found
    # Specks that lie between the points of the lattice.
    cells = np.argwhere(tissue.mask)[:, ::-1]
    centres = ((cells + 0.5) * tissue.scale_l0 / view.scale_l0).astype(np.int64)
    return np.minimum(centres, [view.width - 1, view.height - 1])


def _pieces(points: NDArray[np.int64], count: int) -> list[NDArray[np.int64]]:
    """Part points into `count` pieces and return of each the point nearest to its mean."""
    if not len(points):
        return []
    if count == 1 or len(points) == 1:
        away = np.abs(points - points.mean(0)).sum(1)
        return [points[np.argmin(away)]]
    longer = int(np.argmax(np.ptp(points, axis=0)))
    points = points[np.argsort(points[:, longer], kind="stable")]
    share = count // 2
    cut = len(points) * share // count
    return _pieces(points[:cut], share) + _pieces(points[cut:], count - share)


def sample_tissue(view: SlideView, tissue: Tissue) -> NDArray[np.uint8]:
    """Read small windows spread evenly over the tissue.

    Parameters
    ----------
    view : SlideView
        The slide at the network's resolution.
    tissue : Tissue
        Where the tissue is.

    Returns
    -------
    ndarray of uint8, (n, 3)
        Pixels of at most 64 windows of 128 px; of the whole frame where it is no larger than those; none
        where there is no tissue. Windows that cannot be decoded are left out.
    """
    boxes = sample_boxes(view, tissue, WINDOWS, WINDOW_PX)
    with ThreadPoolExecutor(available_cores()) as pool:
        windows = list(pool.map(lambda box: _read(view, box), boxes))
    return np.concatenate([np.zeros((0, 3), np.uint8), *windows])


def _read(view: SlideView, box: Box) -> NDArray[np.uint8]:
    try:
        return view.read(box).reshape(-1, 3)
    except SlideError:
        return np.zeros((0, 3), np.uint8)
