"""The component tree on images one can read, and against slow thresholding."""

from __future__ import annotations

import numpy as np
import pytest
from painted import draw_image
from scipy import ndimage

from wsiseg.training.guided.component_tree import NucleusShape, area_opening, find_nodes, merge_nodes
from wsiseg.training.guided.stain_target import haematoxylin, pseudo_target


def slow_opening(levels: np.ndarray, area: int) -> np.ndarray:
    out = np.zeros_like(levels)
    for level in range(int(levels.max()) + 1):
        labels, _ = ndimage.label(levels >= level)
        large = np.bincount(labels.ravel()) >= area
        large[0] = False
        out[large[labels]] = level
    return out


@pytest.mark.parametrize("area", [1, 4, 15, 60])
def test_area_opening_is_that_of_every_threshold(area):
    levels = np.random.default_rng(area).integers(0, 9, (13, 17)).astype(np.uint8)
    assert np.array_equal(area_opening(levels, area), slow_opening(levels, area))


def disc(rows, cols, row, col, radius):
    return (rows - row) ** 2 + (cols - col) ** 2 <= radius**2


def test_two_nuclei_of_unlike_darkness_on_uneven_ground():
    rows, cols = np.mgrid[:60, :120].astype(np.float64)
    dark, pale = disc(rows, cols, 30, 30, 8), disc(rows, cols, 30, 90, 8)
    density = 0.1 + 0.15 * (cols < 60) + 0.4 * dark + 0.12 * pale
    labels, worth = find_nodes(density.astype(np.float32), 0.5, NucleusShape())
    assert labels.max() == 2
    assert np.array_equal(labels > 0, dark | pale)
    assert worth[0] == 0
    assert worth[labels[30, 30]] > worth[labels[30, 90]] > 0


def test_touching_nuclei_are_parted_where_the_bridge_is_paler():
    rows, cols = np.mgrid[:40, :60].astype(np.float64)
    both = [np.clip(1 - np.hypot(rows - 20, cols - col) / 9, 0, 1) for col in (22, 36)]
    density = np.maximum(*both).astype(np.float32)
    labels, _ = find_nodes(density, 0.5, NucleusShape(hole_um2=0))
    assert labels[20, 22] != labels[20, 36]
    assert labels[20, 22] > 0
    assert labels[20, 36] > 0


def test_the_worthier_of_two_that_overlap_stays():
    first = np.zeros((4, 6), np.int32)
    second = first.copy()
    first[:, :3] = 1
    second[:, 1:4] = 1
    second[0, 5] = 2
    merged = merge_nodes([(first, np.array([0.0, 5.0])), (second, np.array([0.0, 9.0, 1.0]))])
    assert np.array_equal(merged > 0, second > 0)
    assert merged[0, 1] != merged[0, 5]


@pytest.mark.parametrize("value", [0, 130, 255])
def test_constant_images_hold_no_nodes(value):
    rgb = np.full((40, 50, 3), value, np.uint8)
    assert find_nodes(haematoxylin(rgb), 0.25, NucleusShape())[0].max() == 0


def test_targets_of_painted_nuclei(default_target):
    rgb, mask = draw_image(3, side=200)
    target = pseudo_target(rgb, default_target, 0.25)
    assert target.shape == (*mask.shape, 4)
    nucleus, inside, other, glass = np.moveaxis(target, -1, 0) / 255
    found = nucleus > 0.75
    assert 2 * (found & mask).sum() / (found.sum() + mask.sum()) > 0.8
    assert (inside <= 1).all()
    assert inside[ndimage.binary_erosion(mask, iterations=3)].mean() > 0.6
    assert inside[~ndimage.binary_dilation(mask, iterations=2)].mean() < 0.05
    assert np.allclose(nucleus + other, 1, atol=0.01)
    assert not glass.any()
