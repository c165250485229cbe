"""Feret diameters against shapely's."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from wsiseg.objects.feret import feret_px
from wsiseg.objects.outlines import Rings


def rings(*polygons: np.ndarray) -> Rings:
    closed = [np.concatenate([points, points[:1]]).astype(np.float64) for points in polygons]
    starts = np.cumsum([0, *map(len, closed)])
    return Rings(np.concatenate(closed), starts, np.arange(len(closed)))


def by_shapely(points: np.ndarray) -> tuple[float, float]:
    hull = shapely.convex_hull(shapely.multipoints(points))
    corners = shapely.get_coordinates(hull)
    longest = np.hypot(*(corners[:, None] - corners[None]).transpose(2, 0, 1)).max()
    widths = []
    for here, then in pairwise(corners):
        along = (then - here) / np.hypot(*(then - here))
        widths.append(np.abs((corners - here) @ [-along[1], along[0]]).max())
    return float(longest), float(min(widths))


def test_a_rectangle_and_a_triangle() -> None:
    rectangle = np.array([[0, 0], [4, 0], [4, 3], [0, 3]])
    triangle = np.array([[10, 0], [16, 0], [13, 4]])
    most, least = feret_px(rings(rectangle, triangle), 2)
    assert most.tolist() == [5, 6]
    assert least == pytest.approx([3, 4])


@given(st.integers(3, 40), st.integers(0, 2**16))
def test_any_ring_has_those_of_its_hull(count: int, seed: int) -> None:
    points = np.random.default_rng(seed).integers(0, 12, (count, 2)) / 2
    if shapely.convex_hull(shapely.multipoints(points)).geom_type != "Polygon":
        return
    most, least = feret_px(rings(points), 1)
    assert (most[0], least[0]) == pytest.approx(by_shapely(points))


def test_holes_do_not_count_and_a_line_has_no_width() -> None:
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]])
    both = rings(square, square + 100)._replace(owners=np.array([0, 0]))
    assert feret_px(both, 1)[0] == pytest.approx(4 * np.sqrt(2))
    line = rings(np.array([[0, 0], [3, 4], [6, 8]]))
    most, least = feret_px(line, 1)
    assert (most[0], least[0]) == (10, 0)
