"""Flat outlines, against shapely."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import shapely
from hypothesis import given
from hypothesis import strategies as st

from wsiseg.viewer.rings import NucleusRings, decoded, joined, ranges


def shapes(seed: int, count: int) -> list[shapely.Geometry]:
    """Stars, some with a hole, some in two parts, one of them missing."""
    rng = np.random.default_rng(seed)
    made: list[shapely.Geometry] = []
    for number in range(count):
        angle = np.sort(rng.uniform(0, 2 * np.pi, 9))
        radius = rng.uniform(4, 12, 9)
        middle = rng.uniform(0, 60, 2)
        points = middle + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        star = shapely.make_valid(shapely.Polygon(np.round(points, 2)))
        if number % 3 == 1:
            star = star.difference(shapely.Point(middle).buffer(2))
        if number % 3 == 2:
            star = shapely.union(star, shapely.box(*(middle + 30), *(middle + 34)))
        parts = [part for part in shapely.get_parts(star) if part.geom_type == "Polygon"]
        made.append(parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts))
    return made


def rings_of(polygons: list[shapely.Geometry | None]) -> NucleusRings:
    return decoded(pa.array([polygon and shapely.to_wkb(polygon) for polygon in polygons], pa.binary()))


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_boxes_and_points_are_shapely_s(seed: int, count: int) -> None:
    polygons = shapes(seed, count)
    rings = rings_of(polygons)
    assert np.allclose(rings.bounds(), shapely.bounds(polygons), atol=1e-4)
    rng = np.random.default_rng(seed + 1)
    for x, y in rng.uniform(-5, 80, (30, 2)):
        assert rings.contain(x, y).tolist() == shapely.contains_xy(polygons, x, y).tolist()


@given(st.integers(0, 10_000))
def test_taken_rings_are_those_of_their_nuclei(seed: int) -> None:
    polygons = shapes(seed, 6)
    taken = rings_of(polygons).take(np.array([4, 1, 1]))
    expected = rings_of([polygons[4], polygons[1], polygons[1]])
    for name in ("points", "ring_start", "nucleus_start"):
        assert np.array_equal(getattr(taken, name), getattr(expected, name))
    both = joined([taken, expected])
    assert len(both) == 6
    assert np.array_equal(both.bounds(), np.concatenate([taken.bounds(), expected.bounds()]))


def test_a_nucleus_without_outline_is_nowhere() -> None:
    rings = rings_of([None, shapely.box(0, 0, 2, 2), None])
    assert np.isnan(rings.bounds()[[0, 2]]).all()
    assert rings.contain(1, 1).tolist() == [False, True, False]
    assert len(rings_of([None])) == 1
    assert len(rings_of([])) == 0
    assert rings_of([None]).contain(0, 0).tolist() == [False]


def test_any_way_of_writing_a_polygon_is_read() -> None:
    square, other = shapely.box(1, 2, 3, 5), shapely.box(10, 10, 12, 13)
    values = [
        shapely.to_wkb(square),
        shapely.to_wkb(other, byte_order=0),
        shapely.to_wkb(shapely.Polygon()),
        shapely.to_wkb(square, include_srid=True),
    ]
    column = pa.chunked_array([pa.array(values[:1], pa.binary()), pa.array([None, *values], pa.binary())[2:]])
    assert decoded(column).bounds()[[0, 1, 3]].tolist() == [[1, 2, 3, 5], [10, 10, 12, 13], [1, 2, 3, 5]]
    assert np.diff(decoded(column).nucleus_start).tolist()[0] == 1
    assert np.isnan(decoded(column).bounds()[2]).all()
    part = pa.array([*values, None, *values], pa.binary())[4:]
    assert np.isnan(decoded(part).bounds()[[0, 3], 0]).all()
    assert decoded(part).bounds()[[1, 2, 4]].tolist() == decoded(column).bounds()[[0, 1, 3]].tolist()


def test_thinning_drops_points_that_fall_on_the_one_before() -> None:
    square = shapely.Polygon([(0, 0), (0.4, 0.2), (8, 0), (8.3, 0.9), (8, 8), (0, 8)])
    thin = rings_of([square, shapely.box(20, 20, 20.2, 20.2)]).thinned(1.0)
    assert thin.points[: thin.ring_start[1]].tolist() == [[0, 0], [8, 0], [8, 8], [0, 8], [0, 0]]
    # what is smaller than the step stays as a point
    assert np.diff(thin.ring_start).tolist() == [5, 1]
    assert thin.nucleus_start.tolist() == [0, 1, 2]


def test_ranges() -> None:
    assert ranges(np.array([5, 0, 9]), np.array([2, 3, 0])).tolist() == [5, 6, 0, 1, 2]
    assert ranges(np.empty(0, np.int64), np.empty(0, np.int64)).tolist() == []
