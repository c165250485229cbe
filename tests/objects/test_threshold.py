"""The threshold that suits a slide, on discs whose surroundings and insides are known."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from wsiseg.config import ObjectsConfig
from wsiseg.objects.segment import segment_whole
from wsiseg.objects.threshold import LEAST_NUCLEI, convexity, suited_threshold

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
    found = suited_threshold([[np.tile(disc(skirt, body, core), (10, 20))]], MPP, CONFIG, 0.5)
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


def suited(windows: list[np.ndarray], usual: float) -> float:
    """Return the threshold from windows that are seen one way only."""
    return suited_threshold([windows], MPP, CONFIG, usual)


def clear_discs(number: int) -> list[np.ndarray]:
    """Return a row of discs that are the same at thresholds of 0.15 to 0.55."""
    y, x = np.mgrid[:32, :32] - 15.5
    return [np.tile(np.where(np.hypot(x, y) < 10, 148, 25).astype(np.uint8), (1, number))]


def test_with_few_nuclei_the_usual_threshold_is_taken() -> None:
    nothing = np.zeros((64, 64), np.uint8)
    assert suited([nothing], 0.3) == suited([], 0.3) == suited_threshold([], MPP, CONFIG, 0.3) == 0.3
    assert suited(clear_discs(LEAST_NUCLEI), 0.3) == 0.3
    assert 0.33 < suited(clear_discs(2 * LEAST_NUCLEI), 0.3) < 0.55


def test_the_threshold_does_not_jump_where_nuclei_become_enough() -> None:
    found = [suited(clear_discs(LEAST_NUCLEI + more), 0.3) for more in (0, 20, 60, 100, 150)]
    assert found == sorted(found)
    assert np.diff(found).max() < 0.06


def test_where_shapes_say_little_the_usual_threshold_stays() -> None:
    y, x = np.mgrid[:48, :48] - 23.5
    cone = np.rint(255 * np.clip(1 - np.hypot(x, y) / 20, 0, 1)).astype(np.uint8)
    assert suited([np.tile(cone, (15, 15))], 0.5) == pytest.approx(0.5, abs=0.1)


def test_what_is_left_to_chance_moves_it_little() -> None:
    # the same nuclei with a little noise at their rim: the best of all thresholds is a matter of chance
    y, x = np.mgrid[:48, :48] - 23.5
    disk = np.where(np.hypot(x, y) < 14, 230, 10)
    tiled = np.tile(disk, (15, 15))
    found = [
        suited([(tiled + np.random.default_rng(s).integers(-8, 9, tiled.shape)).astype(np.uint8)], 0.5)
        for s in range(3)
    ]
    assert found == pytest.approx([0.5] * 3, abs=0.02)


@pytest.mark.parametrize("seen", [1.15, 0.87])
def test_whichever_way_a_slide_lies_it_has_as_many_nuclei(seen: float) -> None:
    # the network is surer, or less sure, of the slide as it lies than of the same slide turned
    y, x = np.mgrid[:40, :40] - 19.5
    heights = np.random.default_rng(0).uniform(0.3, 0.85, (20, 20))
    discs = np.kron(heights, np.hypot(x, y) < 12)
    as_it_lies, turned = (np.rint(255 * np.clip(discs * s, 0, 1)).astype(np.uint8) for s in (seen, 1.0))
    config = ObjectsConfig(certainty=0)
    found = suited_threshold([[as_it_lies], *[[turned]] * 3], MPP, config, 0.5)
    plain = suited_threshold([[turned]] * 4, MPP, config, 0.5)
    assert (found - plain) * (seen - 1) > 0
    kept, unmoved, wanted = (
        convexity([window], MPP, config, threshold).certain
        for window, threshold in ((as_it_lies, found), (as_it_lies, plain), (turned, plain))
    )
    assert abs(kept - wanted) < 0.4 * abs(unmoved - wanted)


@pytest.mark.slow
def test_threads_change_nothing() -> None:
    windows = [np.random.default_rng(0).integers(0, 256, (96, 96)).astype(np.uint8)]
    windows += clear_discs(2 * LEAST_NUCLEI)
    with ThreadPoolExecutor(3) as pool:
        spread = suited_threshold([windows] * 2, MPP, CONFIG, 0.5, pool.map)
    assert spread == suited_threshold([windows] * 2, MPP, CONFIG, 0.5)
    assert spread == round(spread, 3)
