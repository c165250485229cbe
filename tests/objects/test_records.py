import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from objects.fields import blobs, fields, reader
from skimage.feature import graycomatrix, graycoprops
from skimage.measure import regionprops

from wsiseg.config import ObjectsConfig
from wsiseg.objects.records import ALL_RECORDS, RECORDS, describe, shapes
from wsiseg.objects.segment import segment
from wsiseg.objects.texture import TEXTURES
from wsiseg.tiles import Box, Grid


def stain(height, width):
    return (
        (np.arange(-(-height // 2) * -(-width // 2)) * 7 % 251).astype(np.uint8).reshape(-(-height // 2), -1)
    )


def planes_of(confidence):
    """Return a reader of three planes that look like nothing in particular."""
    rng = np.random.default_rng(confidence.size)
    planes = rng.integers(0, 200, (3, *confidence.shape)).astype(np.uint8)
    return lambda box: planes[:, box.y0 : box.y1, box.x0 : box.x1], planes


def records(confidence, tile_px, mpp=0.25, scale_l0=1.0, config=None, with_stain=True, planes=None):
    """Return the records of all tiles, sorted by marker."""
    config = config or ObjectsConfig()
    height, width = confidence.shape
    frame, half = Box(0, 0, width, height), reader(stain(height, width))
    tables = []
    for tile in Grid(width, height, tile_px):
        found = segment(reader(confidence), tile.core, frame, mpp, config, 0.5)
        tables.append(describe(found, half if with_stain else None, mpp, scale_l0, config, planes))
    return pa.concat_tables(tables).sort_by([("marker_row", "ascending"), ("marker_col", "ascending")])


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(fields(180), st.sampled_from([64, 75, 128]), st.sampled_from([1.0, 1.9, 4.0]))
def test_records_are_the_same_bytes_for_every_tile_size(confidence, tile_px, scale_l0):
    config = ObjectsConfig(min_area_um2=1, shallowest_um=0.5, deepest_um=4.0)
    planes, _ = planes_of(confidence)
    whole = records(confidence, 10_000, 0.5, scale_l0, config, planes=planes)
    assert records(confidence, tile_px, 0.5, scale_l0, config, planes=planes).equals(whole)
    assert whole.schema.equals(ALL_RECORDS, check_metadata=True)


def test_measurements_are_those_of_scikit_image():
    confidence = blobs(300, 340, 40, 14, 1)
    confidence[confidence > 0] = np.random.default_rng(0).integers(128, 256, (confidence > 0).sum())
    frame, config = Box(0, 0, 340, 300), ObjectsConfig(simplify_um=0)
    found = segment(reader(confidence), frame, frame, 0.25, config, 0.5)
    rows = describe(found, reader(stain(300, 340)), 0.25, 2.0, config).to_pandas()
    full = np.kron(stain(300, 340), np.ones((2, 2)))
    props = regionprops(found.labels, np.stack([confidence, full], -1))
    assert len(props) == len(rows) > 10
    for row, prop in zip(rows.itertuples(), props, strict=True):
        assert row.exact_area_px == prop.area
        assert row.area_um2 == pytest.approx(prop.area / 16)
        assert row.centroid_y_um == pytest.approx((prop.centroid[0] + 0.5) / 4)
        assert row.centroid_x_l0 == pytest.approx((prop.centroid[1] + 0.5) * 2)
        # scikit-image takes pixels for points; a square adds 1/12 to the variance, 16/12 to the squared axis
        major, minor = (
            np.sqrt(axis**2 + 16 / 12) for axis in (prop.axis_major_length, prop.axis_minor_length)
        )
        assert row.major_axis_um == pytest.approx(major / 4, rel=1e-5)
        assert row.minor_axis_um == pytest.approx(minor / 4, rel=1e-5)
        assert row.eccentricity == pytest.approx(np.sqrt(1 - (minor / major) ** 2), rel=1e-4)
        assert row.solidity == pytest.approx(
            prop.area / shapely.from_wkb(row.geometry).convex_hull.area * 4, rel=1e-5
        )
        assert row.perimeter_um == pytest.approx(prop.perimeter_crofton / 4, rel=0.08)
        assert row.mean_confidence == pytest.approx(prop.intensity_mean[0] / 255, rel=1e-5)
        assert row.haematoxylin_mean == pytest.approx(3 * prop.intensity_mean[1] / 255, rel=1e-5)
        assert 0 < row.circularity <= 1
        assert row.feret_max_um == pytest.approx(prop.feret_diameter_max / 4, abs=0.4)
        assert row.feret_min_um <= row.feret_max_um
        if row.eccentricity > 0.5:
            # scikit-image's angle is against the rows' axis
            turned = np.degrees(prop.orientation) + 90 - row.orientation_deg
            assert abs((turned + 90) % 180 - 90) < 0.01


def test_stain_and_texture_are_those_of_scikit_image():
    confidence = blobs(300, 340, 40, 14, 1)
    read, planes = planes_of(confidence)
    frame, config = Box(0, 0, 340, 300), ObjectsConfig()
    found = segment(reader(confidence), frame, frame, 0.25, config, 0.5)
    rows = describe(found, reader(stain(300, 340)), 0.25, 2.0, config, read).to_pandas()
    props = regionprops(found.labels, np.moveaxis(planes, 0, -1))
    assert len(props) == len(rows) > 10
    for row, prop in zip(rows.itertuples(), props, strict=True):
        values = [planes[plane][found.labels == prop.label] for plane in range(3)]
        for plane, (name, unit) in enumerate((("haematoxylin", 3 / 255), ("eosin", 3 / 255), ("grey", 1))):
            of = {
                measure: getattr(row, f"{name}_{measure}") / unit
                for measure in ("mean", "median", "sd", "min", "max")
            }
            expected = {
                "mean": prop.intensity_mean[plane],
                "median": np.median(values[plane]),
                "sd": prop.intensity_std[plane],
                "min": prop.intensity_min[plane],
                "max": prop.intensity_max[plane],
            }
            assert of == pytest.approx(expected, rel=1e-5)
        # 0 is what lies outside: its row and column are left out of the matrix
        levels = np.where(found.labels == prop.label, planes[0] // 4 + 1, 0)[prop.slice]
        angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
        matrix = graycomatrix(levels.astype(np.uint8), [1], angles, 65, symmetric=True)[1:, 1:]
        pooled = matrix.sum(-1, keepdims=True)
        for measure in TEXTURES:
            assert getattr(row, f"texture_{measure}") == pytest.approx(
                graycoprops(pooled, measure)[0, 0], rel=1e-5
            )
        inside = found.labels == prop.label
        steps = []
        for shifted, here in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
            a, b = inside[here].astype(int), inside[shifted].astype(int)
            difference = planes[0][here].astype(int) - planes[0][shifted]
            steps.append((difference * (a - b))[a != b])
        assert row.boundary_contrast == pytest.approx(np.concatenate(steps).mean() * 3 / 255, rel=1e-4)


def test_areas_of_polygons():
    confidence = blobs(500, 500, 90, 14, 3)
    exact = records(confidence, 200, config=ObjectsConfig(simplify_um=0))
    area_px = exact["exact_area_px"].to_numpy().sum()
    assert shapely.area(shapely.from_wkb(exact["geometry"].to_pylist())).sum() == area_px
    simple = shapely.from_wkb(records(confidence, 200)["geometry"].to_pylist())
    assert shapely.area(simple).sum() == pytest.approx(area_px, rel=1e-3)
    assert shapely.get_num_coordinates(simple).mean() < 30


def test_disc_is_round_and_two_thirds_ellipse_is_not():
    row, col = np.ogrid[:100, :200]
    disc = (row - 50) ** 2 + (col - 50) ** 2 <= 20**2
    ellipse = ((row - 50) / 15) ** 2 + ((col - 140) / 30) ** 2 <= 1
    table = records((disc | ellipse).astype(np.uint8) * 255, 200)
    round_, long = table["circularity"].to_pylist()
    assert round_ == pytest.approx(0.98, abs=0.02)
    assert long == pytest.approx(0.84, abs=0.02)  # 4 pi (pi a b) / Ramanujan's perimeter^2
    assert table["major_axis_um"][1].as_py() == pytest.approx(15, rel=0.02)
    assert table["minor_axis_um"][1].as_py() == pytest.approx(7.5, rel=0.02)
    assert table["perimeter_um"][0].as_py() == pytest.approx(2 * np.pi * 5, rel=0.02)


def test_shapes_are_those_of_the_records():
    confidence = blobs(300, 340, 40, 14, 1)
    frame, config = Box(0, 0, 340, 300), ObjectsConfig()
    for core in (frame, Box(50, 60, 180, 200), Box(0, 0, 1, 1)):
        found = segment(reader(confidence), core, frame, 0.25, config, 0.5)
        rows = describe(found, None, 0.25, 1.0, config)
        for name, column in zip(
            ("area_um2", "solidity", "mean_confidence"), shapes(found, 0.25, config), strict=True
        ):
            np.testing.assert_array_equal(column, rows[name].to_numpy())


def test_empty_core_has_the_schema_and_stain_may_be_missing():
    empty = records(np.zeros((40, 40), np.uint8), 64)
    assert empty.schema.equals(RECORDS, check_metadata=True)
    assert empty.num_rows == 0
    one = np.zeros((60, 60), np.uint8)
    one[20:40, 20:40] = 255
    table = records(one, 64, with_stain=False)
    assert table.schema.equals(RECORDS, check_metadata=True)
    assert table["haematoxylin_mean"].to_pylist() == [None]
    assert all(field.metadata[b"unit"] for field in table.schema)
