"""Imports and loads all that `predict` needs, for processes that start from one that has imported this."""

from __future__ import annotations

from pathlib import Path

import cv2  # noqa: F401
import numpy as np
import pyarrow.parquet  # noqa: F401
import zarr.storage  # noqa: F401
from outputs import predicted

from wsiseg.config import ObjectsConfig
from wsiseg.network.appearance import rgb_table
from wsiseg.network.engine import make_engine
from wsiseg.network.model import load_model
from wsiseg.objects.records import describe
from wsiseg.objects.segment import segment_whole

WORKERS = 2


def predict(slide: Path, out: Path, model: Path) -> None:
    """Predict a slide; in a module of its own, since test files cannot be imported in other processes."""
    (report,) = predicted(slide, out, model, tile_px=256, workers=WORKERS)
    assert report.state in ("done", "skipped"), report.cause


def find_one() -> None:
    """Run the network and find a nucleus, which loads the compiled code."""
    make_engine(load_model(), "cpu").confidence(np.zeros((32, 32, 3), np.uint8), rgb_table())
    confidence = np.zeros((96, 96), np.uint8)
    confidence[40:60, 40:60] = 255
    config = ObjectsConfig()
    found = segment_whole(confidence, 0.25, config, 0.5)
    describe(found, lambda box: np.zeros((box.height, box.width), np.uint8), 0.25, 1.0, config)


find_one()
