"""Pixels that stand for a slide's tissue: the same ones for the same slide, tissue and resolution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import SlideError
from wsiseg.slides.tiles import Box
from wsiseg.slides.tissue import Tissue
from wsiseg.slides.view import SlideView

WINDOWS = 64
WINDOW_PX = 128


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
    if view.width * view.height <= WINDOWS * WINDOW_PX**2:
        return _read(view, view.frame)
    places = np.argwhere(tissue.mask)
    chosen = (
        places[np.unique(np.linspace(0, len(places) - 1, WINDOWS).round().astype(int))]
        if len(places)
        else places
    )
    centres = (chosen + 0.5) * tissue.scale_l0 / view.scale_l0
    corners = np.maximum(centres.astype(int) - WINDOW_PX // 2, 0)
    boxes = [
        Box(int(x), int(y), int(x) + WINDOW_PX, int(y) + WINDOW_PX).clipped(view.frame) for y, x in corners
    ]
    return np.concatenate([np.zeros((0, 3), np.uint8), *(_read(view, box) for box in boxes)])


def _read(view: SlideView, box: Box) -> NDArray[np.uint8]:
    try:
        return view.read(box).reshape(-1, 3)
    except SlideError:
        return np.zeros((0, 3), np.uint8)
