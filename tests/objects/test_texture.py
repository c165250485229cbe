"""Texture of single objects, where it can be told by hand; `test_records` compares it with scikit-image."""

from __future__ import annotations

import numpy as np
import pytest

from wsiseg.objects.outlines import bounding_boxes
from wsiseg.objects.texture import textures


def measured(labels: np.ndarray, plane: np.ndarray) -> np.ndarray:
    count = int(labels.max())
    labels = labels.astype(np.int32)
    boxes = bounding_boxes(labels, count)
    return textures(labels, np.ones(count, np.bool_), boxes, plane.astype(np.uint8), (0, 0))


def test_one_level_has_no_contrast() -> None:
    contrast, correlation, energy, homogeneity = measured(np.ones((3, 4)), np.full((3, 4), 7))[0]
    assert (contrast, correlation, energy, homogeneity) == (0, 1, 1, 1)


def test_one_pixel_has_no_pairs() -> None:
    assert measured(np.ones((1, 1)), np.full((1, 1), 90))[0].tolist() == [0, 1, 1, 1]


def test_two_pixels_two_levels_apart() -> None:
    contrast, correlation, energy, homogeneity = measured(np.ones((1, 2)), np.array([[8, 0]]))[0]
    assert contrast == 4
    assert correlation == pytest.approx(-1)
    assert energy == pytest.approx(np.sqrt(0.5))
    assert homogeneity == pytest.approx(1 / 5)


def test_other_objects_do_not_count() -> None:
    labels = np.array([[1, 1, 2, 2]])
    one, two = measured(labels, np.array([[0, 0, 200, 200]]))
    assert one.tolist() == two.tolist() == [0, 1, 1, 1]
