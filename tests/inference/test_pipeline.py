"""What the network did not see holds no nuclei: labels and polygons agree where a closing would differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely

from wsiseg.config import PAPER_CLEAN_UP_UM, ObjectsConfig
from wsiseg.inference.clusters import open_cluster
from wsiseg.inference.job import SlideJob
from wsiseg.inference.pipeline import FINDING, PAINTING
from wsiseg.inference.planner import plan
from wsiseg.objects.mask import clean_mask
from wsiseg.objects.scales import Scales
from wsiseg.slides.tissue import Tissue
from wsiseg.store.identity import FrameInfo, Identity
from wsiseg.store.layout import create_store
from wsiseg.store.numbering import numbered_nuclei, sorted_keys
from wsiseg.store.slide_store import SlideStore
from wsiseg.store.states import State

SIDE_PX, MPP = 1100, 0.25
CLEANED = ObjectsConfig(
    simplify_um=0.0, opening_um=PAPER_CLEAN_UP_UM, closing_um=PAPER_CLEAN_UP_UM, min_area_um2=1.0
)


def store_of_three_blocks(folder: Path, tile_px: int) -> SlideStore:
    """A nucleus around the corner where three blocks with tissue meet one without."""
    tissue = Tissue(np.array([[True, True], [True, False]]), 1024.0)
    identity = Identity("model", "slide", FrameInfo(SIDE_PX, SIDE_PX, MPP, 1.0), {}, {})
    store = create_store(folder / f"{tile_px}.zarr", identity, tissue, tile_px, {"name": "corner"})
    confidence = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    confidence[1000:1040, 1000:1040] = 255
    confidence[1024:, 1024:] = 0
    confidence[500:520, 500:520] = 255
    store.array("0")[:] = confidence
    for row, col in ((0, 0), (0, 1), (1, 0)):
        store.array("status/network")[row, col] = State.DONE
    return store


@pytest.mark.parametrize("tile_px", [300, 2048])
def test_labels_and_polygons_hold_the_same_pixels(tmp_path: Path, tile_px: int) -> None:
    store = store_of_three_blocks(tmp_path, tile_px)
    job = SlideJob(store, CLEANED, 0.5)
    with open_cluster(None, 1) as cluster:
        list(cluster.run(job, plan(job, FINDING)))
        store.write_keys(sorted_keys(store))
        list(cluster.run(job, plan(job, PAINTING)))
    labels = np.asarray(store.array("labels/nuclei/0")[:])
    (table,) = numbered_nuclei(store)
    areas = shapely.area(shapely.from_wkb(table["geometry"].to_numpy()))
    assert np.bincount(labels.ravel())[1:].tolist() == areas.tolist()
    assert not labels[1024:, 1024:].any()
    closed = clean_mask(np.asarray(store.array("0")[:]), 0.5, Scales.of(MPP, CLEANED))
    assert closed[1024:, 1024:].any()
