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
    """Return squares of the frame spread evenly over the tissue, cut where they leave the frame.

    Parameters
    ----------
    view : SlideView
    tissue : Tissue
    count, side_px : int
        How many at most, and their side.

    Returns
    -------
    list of Box
        The whole frame where it is no larger than those; none where there is no tissue.
    """
    if view.width * view.height <= count * side_px**2:
        return [view.frame]
    places = np.argwhere(tissue.mask)
    if not len(places):
        return []
    chosen = places[np.unique(np.linspace(0, len(places) - 1, count).round().astype(int))]
    centres = (chosen + 0.5) * tissue.scale_l0 / view.scale_l0
    corners = np.maximum(centres.astype(int) - side_px // 2, 0)
    return [Box(int(x), int(y), int(x) + side_px, int(y) + side_px).clipped(view.frame) for y, x in corners]


def sample_tissue(view: SlideView, tissue: Tissue) -> NDArray[np.uint8]:
    """Read small windows spread evenly over the tissue.

    Parameters
    ----------
    view : SlideView
    tissue : Tissue

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
