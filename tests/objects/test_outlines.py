import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from objects.fields import picture
from skimage.measure import label as components

from wsiseg.objects.outlines import trace
from wsiseg.objects.polygons import on_grid, valid_polygons
from wsiseg.objects.simplify import simplified
from wsiseg.tiles import Box

HUGE = Box(-(10**6), -(10**6), 10**6, 10**6)


def outlines(labels):
    """Return the rings of all objects."""
    return trace(labels.astype(np.int32), np.ones(labels.max(), bool))


def shapes_of(rings, exact=None, scale_l0=1.0):
    exact = rings if exact is None else exact
    wanted, other = (on_grid(each, (0, 0), HUGE, scale_l0) for each in (rings, exact))
    return shapely.from_wkb(valid_polygons(wanted, lambda: other).wkb.to_numpy(zero_copy_only=False))


def test_one_pixel_is_the_unit_square():
    rings = outlines(picture("#"))
    assert rings.points.tolist() == [[1, 0], [1, 1], [0, 1], [0, 0], [1, 0]]
    assert rings.starts.tolist() == [0, 5]
    assert rings.owners.tolist() == [0]


def test_x_is_the_column_and_only_corners_are_points():
    (shape,) = shapes_of(outlines(picture("....\n.###")))
    assert shape.equals(shapely.box(1, 1, 4, 2))
    assert shapely.get_num_coordinates(shape) == 5


def test_hole_and_pockets_behind_diagonal_touches():
    mask = picture(
        """
        #####.
        #.#.##
        ##..#.
        ####..
        """
    )
    assert components(mask, connectivity=1).max() == 1
    (shape,) = shapes_of(outlines(mask))
    assert shape.is_valid
    assert shape.geom_type == "Polygon"
    assert shape.area == mask.sum()
    assert len(shape.interiors) == 2  # one pixel, and the pocket of three that it touches with a corner


def test_objects_are_told_apart_and_only_the_wanted_are_traced():
    labels = np.array([[1, 1, 2], [3, 2, 2], [3, 3, 4]], np.int32)
    rings = trace(labels, np.array([True, False, True, True]))
    assert rings.owners.tolist() == [0, 1, 2]
    assert shapely.area(shapes_of(rings)).tolist() == [2, 3, 1]


@st.composite
def label_images(draw):
    """Draw label images whose objects are 4-connected."""
    size = draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    classes = draw(arrays(np.uint8, size, elements=st.integers(0, 2)))
    return components(classes, connectivity=1, background=0).astype(np.int32)


@settings(max_examples=300, deadline=None)
@given(label_images())
def test_outlines_are_valid_and_cover_exactly_the_pixels(labels):
    rings = outlines(labels)
    shapes = shapes_of(rings)
    assert len(shapes) == labels.max()
    for k, shape in enumerate(shapes, 1):
        assert shape.geom_type == "Polygon"
        assert shape.is_valid
        assert shape.area == (labels == k).sum()
        for row, col in np.argwhere(labels == k):
            assert shape.contains(shapely.Point(col + 0.5, row + 0.5))


@settings(max_examples=300, deadline=None)
@given(label_images(), st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([0.1, 0.25, 1.0, 1.7, 16.0]))
def test_simplified_outlines_are_valid_on_the_grid_and_keep_the_area(labels, tolerance_px, scale_l0):
    exact = outlines(labels)
    areas = np.bincount(labels.ravel(), minlength=labels.max() + 1)[1:]
    smooth = simplified(exact, areas, tolerance_px)
    for k, shape in enumerate(shapes_of(smooth, exact, scale_l0)):
        assert shape.is_valid
        assert shape.geom_type == "Polygon"
        points = shapely.get_coordinates(shape) * 100
        assert np.abs(points - np.rint(points)).max() < 1e-6
        assert shape.area == pytest.approx(areas[k] * scale_l0**2, abs=0.02 * (shape.length + 1))


def test_simplified_disc_has_few_points_its_area_and_nearly_its_perimeter():
    row, col = np.ogrid[:40, :40]
    labels = ((row - 20) ** 2 + (col - 20) ** 2 <= 14**2).astype(np.int32)
    rings = simplified(outlines(labels), np.array([labels.sum()]), 0.5)
    (shape,) = shapes_of(rings)
    assert shapely.get_num_coordinates(shape) <= 24
    assert shape.area == pytest.approx(labels.sum(), rel=1e-3)
    assert shape.length == pytest.approx(2 * np.sqrt(np.pi * labels.sum()), rel=0.02)
    assert shape.hausdorff_distance(shapes_of(outlines(labels))[0]) < 1.5


@pytest.mark.parametrize(
    "ring",
    [
        [(0, 0), (4, 4), (4, 0), (0, 4), (0, 0)],  # bow tie
        [(0, 0), (4, 0), (4, 4), (4, 0), (0, 0)],  # no area
        [(0, 0), (6, 0), (6, 4), (3, 4), (3, 6), (3, 4), (0, 4), (0, 0)],  # spike
        [(0, 0), (4, 0), (2, 2), (4, 4), (0, 4), (2, 2), (0, 0)],  # two triangles that touch
        [(1, 1), (1, 1), (1, 1), (1, 1)],
    ],
)
def test_what_is_not_valid_gives_way_to_the_exact_outline(ring):
    rings = outlines(picture("##\n##"))
    odd = rings._replace(points=np.array(ring, np.float64), starts=np.array([0, len(ring)]))
    (shape,) = shapes_of(odd, rings)
    assert shape.equals(shapely.box(0, 0, 2, 2))
    (shape,) = shapes_of(odd, odd)  # where the exact one is no better: the part with an area, or nothing
    assert shape is None or (shape.is_valid and shape.area > 0)


def test_rings_never_leave_the_frame():
    labels = np.ones((9, 9), np.int32)
    smooth = simplified(outlines(labels), np.array([81]), 0.5)
    grid = on_grid(smooth, (0, 0), Box(0, 0, 9, 9), 2.0)
    assert grid.points.min() >= 0
    assert grid.points.max() <= 1800
