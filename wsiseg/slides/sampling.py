"""Pixels that stand for a slide's tissue: the same ones for the same slide, tissue and resolution."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import SlideError
from wsiseg.machine.cores import available_cores
from wsiseg.slides.tissue import Tissue
from wsiseg.slides.view import SlideView
from wsiseg.tiles import Box, Grid

WINDOWS = 64
WINDOW_PX = 128
# A frame of so many times their area is read as a whole.
WHOLE = 4


def sample_boxes(view: SlideView, tissue: Tissue, count: int, side_px: int) -> list[Box]:
    """Return squares of the frame spread evenly over the tissue, in both directions.

    The tissue is parted into `count` pieces of equal area, always across its longer side, and each piece has
    one square, at its middle. The grid of the mask plays no part, nor do the place of the tissue on the slide
    and, but for pixels, the way the slide lies.

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
        The whole frame where it is no larger than twice those; none where there is no tissue.
    """
    if not tissue.mask.any():
        return []
    if view.width * view.height <= 2 * count * side_px**2:
        return [view.frame]
    middles = _pieces(_tissue_points(view, tissue, max(1, side_px // 2)), count)
    limits = np.maximum([view.width - side_px, view.height - side_px], 0)
    corners = [np.clip(np.rint(middle - side_px / 2), 0, limits).astype(int).tolist() for middle in middles]
    return [Box(x, y, x + side_px, y + side_px).clipped(view.frame) for x, y in corners]


def _tissue_points(view: SlideView, tissue: Tissue, pitch_px: int) -> NDArray[np.float64]:
    """Return (x, y) of the frame's points on tissue, on a lattice of this pitch in its middle: (n, 2)."""
    cells = np.argwhere(tissue.mask)[:, ::-1]
    if not len(cells):
        return np.zeros((0, 2))
    size, cell_px = np.array([view.width, view.height]), tissue.scale_l0 / view.scale_l0
    first, last = cells.min(0) * cell_px, np.minimum((cells.max(0) + 1) * cell_px, size)
    counts = np.maximum((last - first) // pitch_px, 1).astype(int)
    cols, rows = (
        (low + high) / 2 + (np.arange(n) - (n - 1) / 2) * pitch_px
        for low, high, n in zip(first, last, counts, strict=True)
    )
    points = np.stack(np.meshgrid(cols, rows), -1).reshape(-1, 2)
    found: NDArray[np.float64] = points[tissue.at(*(points * view.scale_l0).T)]
    if len(found):
        return found
    # Specks that lie between the points of the lattice.
    centres: NDArray[np.float64] = np.minimum((cells + 0.5) * cell_px, size - 1)
    return centres


def _pieces(points: NDArray[np.float64], count: int) -> list[NDArray[np.float64]]:
    """Part points into `count` pieces and return of each the point nearest to its mean."""
    if not len(points):
        return []
    if count == 1 or len(points) == 1:
        away = np.abs(points - points.mean(0)).sum(1)
        return [points[np.argmin(away)]]
    longer = int(np.argmax(np.ptp(points, axis=0)))
    points = points[np.lexsort((points[:, 1 - longer], points[:, longer]))]
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
        Pixels on tissue of 64 windows of 128 px, or of the whole frame where it is no larger than four times
        those. Windows that cannot be decoded are left out.
    """
    if view.width * view.height <= WHOLE * WINDOWS * WINDOW_PX**2:
        boxes = [tile.core for tile in Grid(view.width, view.height, WHOLE * WINDOW_PX)]
    else:
        boxes = sample_boxes(view, tissue, WINDOWS, WINDOW_PX)
    with ThreadPoolExecutor(available_cores()) as pool:
        windows = list(pool.map(lambda box: _read(view, tissue, box), boxes))
    return np.concatenate([np.zeros((0, 3), np.uint8), *windows])


def _read(view: SlideView, tissue: Tissue, box: Box) -> NDArray[np.uint8]:
    """Return the pixels of a box that lie on tissue, which leaves out ink; uint8 (n, 3)."""
    cell_px = tissue.scale_l0 / view.scale_l0
    sides = ((box.y0, box.y1), (box.x0, box.x1))
    rows, cols = (
        np.minimum(((np.arange(low, high) + 0.5) / cell_px).astype(np.intp), size - 1)
        for (low, high), size in zip(sides, tissue.mask.shape, strict=True)
    )
    wanted = tissue.mask[np.ix_(rows, cols)]
    if not wanted.any():
        return np.zeros((0, 3), np.uint8)
    try:
        return view.read(box)[wanted]
    except SlideError:
        return np.zeros((0, 3), np.uint8)
