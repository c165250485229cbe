"""Stores with the confidence of round nuclei."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsiseg.slides.tissue import Tissue
from wsiseg.store.identity import FrameInfo, Identity
from wsiseg.store.layout import create_store
from wsiseg.store.slide_store import SlideStore
from wsiseg.store.states import State


def disks(width: int, height: int, places: list[tuple[float, float, float, float]]) -> NDArray[np.uint8]:
    """Return confidence that falls from disks outwards; a place is x and y as shares, radius, stretch."""
    rows, cols = np.mgrid[:height, :width]
    field = np.zeros((height, width))
    for x, y, radius, stretch in places:
        far = np.hypot((cols - x * width) / stretch, (rows - y * height) * stretch)
        field = np.maximum(field, 1.3 - 0.8 * far / radius)
    return np.rint(255 * np.clip(field, 0, 1)).astype(np.uint8)


def store_of(
    path: Path, confidence: NDArray[np.uint8], tile_px: int, network: State = State.DONE
) -> SlideStore:
    """Return a store whose blocks have some state."""
    height, width = confidence.shape
    identity = Identity("model", "slide", FrameInfo(width, height, 0.25, 1.0), {}, {})
    tissue = Tissue(np.ones((1, 1), np.bool_), float(max(width, height)))
    store = create_store(path, identity, tissue, tile_px, {"name": "disks"})
    store.array("0")[:] = confidence
    store.array("haematoxylin")[:] = confidence[::2, ::2]
    store.array("status/network")[:] = network
    return store
