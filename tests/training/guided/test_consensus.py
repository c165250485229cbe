"""What the consensus is taught: nuclei without holes and bays, parted where they touch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wsiseg.errors import ModelError, UsageError
from wsiseg.network.model import load_model
from wsiseg.training.guided.consensus import consensus_target, rounded
from wsiseg.training.guided.prior import find_prior
from wsiseg.training.presets import preset

pytestmark = pytest.mark.slow

GREY = np.full((80, 80, 3), 150, np.uint8)


def disc(row: float, col: float, radius: float, side: int = 80) -> np.ndarray:
    rows, cols = np.indices((side, side))
    return np.hypot(rows - row, cols - col) <= radius


def test_rounding_fills_holes_and_bays_and_drops_spurs():
    labels = disc(40, 40, 15).astype(np.int32)
    labels[38:42, 38:42] = 0
    labels[40, 50:60] = 0
    labels[20:27, 40] = 1
    found = rounded(labels, 2)
    assert (found[disc(40, 40, 13)] == 1).all()
    assert not found[20:23, 40].any()


def test_rounding_keeps_the_small_one_beside_the_large_one():
    labels = disc(40, 30, 15).astype(np.int32)
    small = disc(40, 48, 4)
    labels[small] = 2
    found = rounded(labels, 2)
    assert (found[disc(40, 48, 3)] == 2).all()
    assert found[40, 30] == 1


def test_a_hollow_nucleus_is_taught_as_a_whole_one():
    confidence = 0.9 * (disc(40, 40, 14) & ~disc(40, 40, 4)).astype(np.float32)
    nucleus = consensus_target(GREY, confidence, 0.5)[..., 0]
    assert (nucleus[disc(40, 40, 3)] > 127).all()
    assert (nucleus[~disc(40, 40, 18)] == 0).all()


def test_nuclei_that_touch_are_taught_apart():
    confidence = 0.9 * (disc(40, 27, 13) | disc(40, 52, 13)).astype(np.float32)
    nucleus, inside = np.moveaxis(consensus_target(GREY, confidence, 0.5), -1, 0)[:2]
    assert nucleus[40, 38:42].min() == 0
    assert (nucleus[40, 20:34] > 127).all()
    assert min(inside[40, 27], inside[40, 52]) > 200
    assert inside[40, 39] == 0


def test_the_model_that_ships_is_the_prior_where_it_fits():
    shipped = find_prior(preset("small"), None)
    assert shipped is not None
    assert shipped.sha256 == load_model().sha256
    assert find_prior(preset("small"), "none") is None
    assert find_prior(preset("small", mpp=0.25), None) is None
    assert find_prior(preset("paper"), None) is None
    assert find_prior(preset("paper"), "none") is None


def test_a_run_that_is_taught_starts_from_the_large_model():
    teacher = find_prior(preset("default"), None)
    assert teacher is not None
    assert teacher.sha256 == load_model("large").sha256
    with pytest.raises(UsageError, match=r"--prior none: preset default starts from a model.*--preset small"):
        find_prior(preset("default"), "none")
    with pytest.raises(UsageError, match=r"no model that ships fits.*resolution is 0.35, but 0.25"):
        find_prior(preset("default", mpp=0.25), None)


def test_a_prior_that_cannot_vote_is_refused(model_file):
    with pytest.raises(ModelError, match=r"--prior .*its input is rgb, but stains in this run"):
        find_prior(preset("small"), model_file)
    with pytest.raises(ModelError, match=r"--prior large.*its width is 16, but 8 in this run"):
        find_prior(preset("small"), "large")
    with pytest.raises(UsageError, match="has no use for it"):
        find_prior(preset("paper"), model_file)
    with pytest.raises(UsageError, match="has no use for it"):
        find_prior(replace(preset("small"), consensus_epochs=0), model_file)
