"""The threshold at which nuclei are most convex, on discs whose surroundings and insides are known."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from wsiseg.config import ObjectsConfig
from wsiseg.objects.segment import segment_whole
from wsiseg.objects.threshold import LEAST_NUCLEI, THRESHOLDS, convexity, most_convex

SIDE_PX, RADIUS_PX, MPP = 96, 16, 0.5
CONFIG = ObjectsConfig()


def disc(skirt: float, body: float, core: float) -> np.ndarray:
    """Return uint8 confidence: arms of `skirt` around a disc of `body`, in it a cross of `core`."""
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] - SIDE_PX / 2 + 0.5
    found = np.zeros((SIDE_PX, SIDE_PX))
    found[(np.abs(x) < 3) | (np.abs(y) < 3)] = skirt
    inside = np.hypot(x, y) < RADIUS_PX
    found[inside] = body
    found[inside & ((np.abs(x) < 3) | (np.abs(y) < 3))] = core
    return np.rint(255 * found).astype(np.uint8)


@pytest.mark.parametrize(("skirt", "body", "core"), [(0.33, 0.58, 0.9), (0.58, 0.77, 0.9), (0.1, 0.33, 0.58)])
def test_the_threshold_lies_between_arms_and_cross(skirt: float, body: float, core: float) -> None:
    found = most_convex([np.tile(disc(skirt, body, core), (5, 10))] * 2, MPP, CONFIG, 0.5)
    assert skirt < found < body
    nuclei = segment_whole(disc(skirt, body, core), MPP, CONFIG, found).labels
    assert (nuclei > 0).sum() == pytest.approx(np.pi * RADIUS_PX**2, rel=0.02)


def test_solidity_is_weighted_by_area() -> None:
    window = disc(0.33, 0.58, 0.9)
    one, cross = (convexity([window], MPP, CONFIG, threshold) for threshold in (0.5, 0.7))
    assert one.solidity > 0.95 > 0.8 > cross.solidity
    with_small = window.copy()
    with_small[4:12, 4:12] = 255
    both = convexity([with_small], MPP, CONFIG, 0.5)
    small_um2 = 64 * MPP**2
    assert (one.nuclei, both.nuclei) == (1, 2)
    assert both.area_um2 == one.area_um2 + small_um2
    expected = (one.solidity * one.area_um2 + small_um2) / both.area_um2
    assert both.solidity == pytest.approx(expected, abs=0.01)


@pytest.mark.slow
def test_with_few_nuclei_the_usual_threshold_is_taken() -> None:
    nothing, window = np.zeros((64, 64), np.uint8), disc(0.33, 0.58, 0.9)
    assert most_convex([nothing], MPP, CONFIG, 0.3) == most_convex([], MPP, CONFIG, 0.3) == 0.3
    assert most_convex([window] * (LEAST_NUCLEI - 1), MPP, CONFIG, 0.3) == 0.3
    assert 0.33 < most_convex([window] * LEAST_NUCLEI, MPP, CONFIG, 0.3) < 0.58


def test_where_shapes_say_little_the_usual_threshold_stays() -> None:
    y, x = np.mgrid[:48, :48] - 23.5
    cone = np.rint(255 * np.clip(1 - np.hypot(x, y) / 20, 0, 1)).astype(np.uint8)
    assert most_convex([np.tile(cone, (10, 10))], MPP, CONFIG, 0.5) == pytest.approx(0.5, abs=0.1)


def test_what_shapes_cannot_tell_apart_stays_at_the_usual_threshold() -> None:
    # the same nuclei with a little noise at their rim: the best of all thresholds is a matter of chance
    y, x = np.mgrid[:48, :48] - 23.5
    disk = np.where(np.hypot(x, y) < 14, 230, 10)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        tiled = np.tile(disk, (10, 12)) + rng.integers(-8, 9, (480, 576))
        assert most_convex([tiled.astype(np.uint8)], MPP, CONFIG, 0.5) == 0.5


@pytest.mark.slow
def test_threads_change_nothing() -> None:
    windows = [np.random.default_rng(0).integers(0, 256, (96, 96)).astype(np.uint8)]
    windows += [disc(0.33, 0.58, 0.9)] * LEAST_NUCLEI
    with ThreadPoolExecutor(3) as pool:
        spread = most_convex(windows, MPP, CONFIG, 0.5, pool.map)
    assert spread == most_convex(windows, MPP, CONFIG, 0.5)
    assert spread in THRESHOLDS
