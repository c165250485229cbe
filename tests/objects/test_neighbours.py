"""Neighbours against scipy on the whole slide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.spatial import Delaunay, cKDTree

from wsiseg.objects.neighbours import LARGEST_CIRCLE_UM, REACH_UM, neighbours


def degrees(points: np.ndarray) -> list[int]:
    """Return the degrees in the mesh of the whole, triangle by triangle."""
    edges = set()
    for triangle in Delaunay(points).simplices:
        a, b, c = points[triangle]
        sides = [np.hypot(*(a - b)), np.hypot(*(b - c)), np.hypot(*(a - c))]
        area = abs((b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0]) / 2
        if np.prod(sides) / (4 * area) <= LARGEST_CIRCLE_UM:
            edges |= {frozenset(pair) for pair in (triangle[[0, 1]], triangle[[1, 2]], triangle[[0, 2]])}
    return [sum(k in edge for edge in edges) for k in range(len(points))]


@given(st.integers(4, 300), st.sampled_from([100.0, 400.0, 2000.0]), st.integers(0, 2**16))
@example(281, 100.0, 79)
def test_they_are_those_of_scipy_on_the_whole(count: int, side_um: float, seed: int) -> None:
    corner = np.array([7e4, 3e4])
    points = np.random.default_rng(seed).uniform(0, side_um, (count, 2)) + corner
    tree = cKDTree(points)
    found = neighbours(points, points).to_pandas()
    nearest = tree.query(points, k=2)[0][:, 1]
    far = nearest > REACH_UM
    np.testing.assert_array_equal(found["nearest_um"].isna(), far)
    np.testing.assert_allclose(found["nearest_um"][~far], nearest[~far], rtol=1e-6)
    for near in (25, 50):
        expected = [len(others) - 1 for others in tree.query_ball_point(points, near)]
        assert found[f"within_{near}_um"].tolist() == expected
    within = [len(others) for others in tree.query_ball_point(points, 100)]
    np.testing.assert_allclose(found["density_per_mm2"], np.array(within) / (np.pi * 0.01), rtol=1e-6)
    # so far from zero, rounding decides between triangles in Qhull
    assert found["delaunay_degree"].tolist() == degrees(points - corner)


@given(st.integers(0, 2**16))
def test_only_those_within_reach_are_needed(seed: int) -> None:
    points = np.random.default_rng(seed).uniform(0, 600, (400, 2))
    whole = neighbours(points, points)
    own = (points < 200).all(1)
    near = (points < 200 + REACH_UM).all(1)
    assert neighbours(points[own], points[near]).equals(whole.filter(own.tolist()))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_for_a_mesh(count: int) -> None:
    points = np.stack([np.arange(count) * 30.0, np.zeros(count)], 1)
    found = neighbours(points, points).to_pandas()
    assert found["delaunay_degree"].tolist() == [0] * count
    assert found["nearest_um"].isna().all() == (count == 1)
    assert found["within_50_um"].tolist() == [[0], [1, 1], [1, 2, 1]][count - 1]
