"""Sample fields of a slide: which ones, and what is drawn in them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from fake_outputs import write_slide

from wsiseg.report.sample_fields import choose_fields, outlines
from wsiseg.report.slide_numbers import count_up
from wsiseg.store.slide_store import SlideStore
from wsiseg.tiles import Box


def test_fields_are_the_same_each_time_and_the_least_certain_are(out: Path) -> None:
    outputs = write_slide(out, squares=19)
    store = SlideStore(outputs.store)
    numbers = count_up(outputs.parquet, store.frame)
    drawn, unsure = choose_fields(numbers, store, count=1)
    assert choose_fields(numbers, store, count=1) == (drawn, unsure)
    assert len(drawn) == len(unsure) == 1
    # Confidence falls from row to row of nuclei, and the lower cells reach down to the last one.
    assert unsure[0].y0 > 150
    assert drawn[0].x1 <= 450, "half a field may lie off the tissue, not more"
    assert (drawn[0].width, drawn[0].height) == (256, 256)


def test_outlines_are_those_of_the_labels(out: Path) -> None:
    store = SlideStore(write_slide(out).store)
    found = outlines(store, Box(10, 10, 60, 60))
    assert [nucleus.id for nucleus in found] == [1, 2, 11, 12]
    assert [round(nucleus.confidence, 2) for nucleus in found] == [1.0, 1.0, 0.95, 0.95]
    points = np.array([pair.split() for pair in re.split("[ML]", found[0].path.rstrip("Z")) if pair], float)
    # The square [20, 28] of the frame, seen from (10, 10); smoothing rounds its corners.
    assert np.abs(points.min(0) - 10).max() < 0.7
    assert np.abs(points.max(0) - 18).max() < 0.7
