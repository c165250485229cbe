"""Which of two models holds still: on windows whose nuclei are plain, and as a sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wsiseg.network.appearance import network_input, rgb_table
from wsiseg.network.engine import Engine
from wsiseg.network.model import shipped_model
from wsiseg.slides.expand import expand
from wsiseg.training.comparison import (
    Comparison,
    Steady,
    compare,
    interval,
    restained,
    scores,
    seen_otherwise,
    steadiness,
)
from wsiseg.training.presets import preset
from wsiseg.training.sources import check_sources

WORSE = Comparison("large", "a", "b", 0.70, 0.75, -0.08, -0.02, 24)


class Dark(Engine):
    """Takes dark pixels for nuclei, whichever way they lie."""

    name = "dark"

    def confidence(self, rgb, table, inner=None):
        return (rgb.mean(-1) < 128).astype(np.float32)


class Fickle(Engine):
    """Finds only what lies in the left half of what it is shown."""

    name = "fickle"

    def confidence(self, rgb, table, inner=None):
        found = (rgb.mean(-1) < 128).astype(np.float32)
        found[:, rgb.shape[1] // 2 :] = 0
        return found


@pytest.fixture
def window() -> np.ndarray:
    """Four dark discs on pale ground, none on an axis of symmetry."""
    rgb = np.full((200, 200, 3), 220, np.uint8)
    rows, cols = np.indices((200, 200))
    for row, col in ((40, 50), (60, 130), (120, 30), (150, 160)):
        rgb[np.hypot(rows - row, cols - col) < 12] = 60
    return rgb


def test_who_sees_nuclei_holds_still_and_who_guesses_does_not(window):
    model = replace(shipped_model("large"), info=replace(shipped_model("large").info, adaptive=False))
    still = steadiness(Dark(), model, window, rgb_table())
    guessed = steadiness(Fickle(), model, window, rgb_table())
    assert (still.number, guessed.number) == (4, 2)
    assert still.aji > 0.9
    # turned and mirrored, another half of the tissue lies on the left
    assert guessed.aji < still.aji - 0.05


def test_finding_hardly_anything_is_not_holding_still():
    many, half, few, none = Steady(0.7, 20), Steady(0.9, 10), Steady(0.9, 9), Steady(1.0, 0)
    found = scores([half, few, none, none], [many, many, many, none])
    assert found.tolist() == [[0.9, 0, 0, 1], [0.7, 0.7, 0.7, 1]]


def test_seven_maps_in_the_place_of_the_window(window):
    maps = seen_otherwise(Dark(), window, rgb_table(), 0.35)
    assert len(maps) == 7
    for seen in maps:
        assert (seen.shape, seen.dtype) == (window.shape[:2], np.uint8)
        assert seen[40, 50] == seen[150, 160] == 255
        assert seen[100, 100] == 0


def test_restaining_moves_each_stain_about_its_mean():
    # one grey pixel whose three inputs are 0.4, the mean, and one at 0.55
    table = np.zeros((3, 256, 3), np.float32)
    table[:, 0], table[:, 1] = 0.4 / 3, 0.55 / 3
    pixels = np.array([[[0, 0, 0], [1, 1, 1]]], np.uint8)
    changed = network_input(pixels, restained(table, (2.0, 0.5, 1.0)))
    seen = (changed - 0.05) / 0.95
    assert seen[:, 0, 0] == pytest.approx([0.4, 0.4, 0.4], abs=1e-5)
    assert seen[:, 0, 1] == pytest.approx([0.7, 0.475, 0.55], abs=1e-5)


def test_a_model_is_as_good_as_itself(images):
    model, config = shipped_model("large"), preset("default", crop_px=64)
    sources, _ = check_sources(expand([str(images)], 0.25), config)
    found = compare(model, model, "large", sources, config.mpp, 0)
    assert found is not None
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert found.windows == len(sources)
    assert found.keeps_fitted
    assert "as good as the model large" in str(found)
    behind = compare(model, model, "large", sources, config.mpp, 0, head_start=0.01)
    assert behind is not None
    assert (behind.difference, behind.low, behind.high) == pytest.approx((-0.01, -0.01, -0.01))
    assert not behind.keeps_fitted


def test_few_windows_leave_a_wide_interval():
    # mean 0.1, sd 0.1, of three: t = 4.303
    assert interval(np.array([0.0, 0.1, 0.2])) == pytest.approx(
        (0.1 - 4.303 * 0.1 / 3**0.5, 0.1 + 4.303 * 0.1 / 3**0.5), abs=1e-4
    )
    assert interval(np.array([0.5])) == (-1, 1)


def test_only_what_is_surely_or_much_worse_is_given_up():
    assert not WORSE.keeps_fitted
    assert "is worse than the model large" in str(WORSE)
    assert not replace(WORSE, low=-1.0, high=0.9).keeps_fitted
    unsure = replace(WORSE, fitted_score=0.74, high=0.01)
    assert unsure.keeps_fitted
    assert "as far as can be told" in str(unsure)
    better = replace(WORSE, fitted_score=0.8, low=0.01, high=0.09)
    assert "beats the model large" in str(better)
    assert "(difference: +0.050, 95 % interval +0.010 to +0.090)" in str(better)
    less = replace(better, head_start=0.01)
    assert "(difference, less 0.010 that any fitted one has: +0.040, 95 %" in str(less)
