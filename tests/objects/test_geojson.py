import gzip
import json
import math
import uuid

import numpy as np
import pyarrow as pa
import pytest
import shapely
from shapely.geometry import shape

from wsiseg.objects.geojson import GeoJSONWriter, nucleus_uuids
from wsiseg.objects.parquet import ParquetWriter

MEASURED = {"Nucleus ID", "Area µm^2", "Circularity", "Mean confidence"}


def check_features(features):
    """Assert the rules of QuPath's reader."""
    seen = set()
    for feature in features:
        assert feature["type"] == "Feature"
        seen.add(uuid.UUID(feature["id"]))
        properties = feature["properties"]
        assert properties["objectType"] == "detection"
        assert properties["classification"] == {"name": "Nucleus", "color": [200, 0, 0]}
        assert set(properties) == {"objectType", "classification", "measurements"}
        assert set(properties["measurements"]) >= MEASURED
        assert all(math.isfinite(value) for value in properties["measurements"].values())
        outline = feature["geometry"]
        assert outline["type"] == "Polygon"
        for ring in outline["coordinates"]:
            assert len(ring) >= 4
            assert ring[0] == ring[-1]
            assert all(abs(c * 100 - round(c * 100)) < 1e-6 for point in ring for c in point)
        assert shape(outline).is_valid
        assert shape(outline).area > 0
    assert len(seen) == len(features)


def test_geojson_is_what_qupath_reads(tmp_path, table):
    path = tmp_path / "slide é.geojson"
    with GeoJSONWriter(path, "some slide") as writer:
        writer.write(table.slice(0, 10))
        writer.write(table.slice(10, 0))
        writer.write(table.slice(10))
    document = json.loads(path.read_text("utf-8"))
    assert document["type"] == "FeatureCollection"
    check_features(document["features"])
    assert len(document["features"]) == table.num_rows
    assert writer.paths == [path]
    wanted = shapely.from_wkb(table["geometry"].to_pylist())
    for feature, polygon, row in zip(document["features"], wanted, table.to_pylist(), strict=True):
        assert shape(feature["geometry"]).equals_exact(polygon)
        measurements = feature["properties"]["measurements"]
        assert measurements["Nucleus ID"] == row["id"]
        assert measurements["Area µm^2"] == pytest.approx(row["area_um2"], abs=0.0051)
        assert "Haematoxylin OD mean" not in measurements


def test_geojson_of_no_nuclei(tmp_path):
    with GeoJSONWriter(tmp_path / "none.geojson"):
        pass
    assert json.loads((tmp_path / "none.geojson").read_text()) == {
        "type": "FeatureCollection",
        "features": [],
    }


def test_gzip_is_the_same_document_and_always_the_same_bytes(tmp_path, table):
    paths = [tmp_path / "a.geojson", tmp_path / "a.geojson.gz", tmp_path / "b.geojson.gz"]
    for path in paths:
        with GeoJSONWriter(path, "x", gzip=path.name.endswith("gz")) as writer:
            writer.write(table)
    assert gzip.decompress(paths[1].read_bytes()) == paths[0].read_bytes()
    assert paths[1].read_bytes() == paths[2].read_bytes()


def test_split_gives_complete_parts(tmp_path, table):
    with GeoJSONWriter(tmp_path / "s.geojson", split=10) as writer:
        writer.write(table.slice(0, 7))
        writer.write(table.slice(7))
    assert sorted(path.name for path in tmp_path.iterdir()) == [path.name for path in writer.paths]
    assert writer.paths[0].name == "s.part01.geojson"
    parts = [json.loads(path.read_text("utf-8"))["features"] for path in writer.paths]
    assert [len(part) for part in parts[:-1]] == [10] * (len(parts) - 1)
    check_features([feature for part in parts for feature in part])
    with GeoJSONWriter(tmp_path / "few.geojson", split=1000) as writer:
        writer.write(table)
    assert writer.paths == [tmp_path / "few.geojson"]


@pytest.mark.parametrize("options", [{}, {"split": 5}])
def test_nothing_is_left_after_an_exception(tmp_path, table, options):
    def half_way():
        with (
            GeoJSONWriter(tmp_path / "g.geojson", **options) as geojson,
            ParquetWriter(tmp_path / "p.parquet") as parquet,
        ):
            geojson.write(table)
            parquet.write(table)
            assert all(path.name.endswith(".partial") for path in tmp_path.iterdir())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half_way()
    assert list(tmp_path.iterdir()) == []


def test_nuclei_without_a_polygon_are_left_out(tmp_path, table):
    missing = pa.array([None, *table["geometry"].to_pylist()[1:]], pa.binary())
    with GeoJSONWriter(tmp_path / "g.geojson") as writer:
        writer.write(table.set_column(table.schema.get_field_index("geometry"), "geometry", missing))
    assert len(json.loads((tmp_path / "g.geojson").read_text())["features"]) == table.num_rows - 1


def test_names_that_qupath_would_ignore_are_refused(tmp_path):
    with pytest.raises(ValueError, match="geojson"):
        GeoJSONWriter(tmp_path / "a.geojson", gzip=True)
    with pytest.raises(ValueError, match="at least 1"):
        GeoJSONWriter(tmp_path / "a.geojson", split=0)


def test_ids_are_uuids_that_depend_on_slide_and_number_only():
    ids = np.arange(1, 20_001)
    first = nucleus_uuids("a", ids)
    assert len(set(first)) == len(ids)
    assert np.array_equal(nucleus_uuids("a", ids[50:60]), first[50:60])
    assert not set(first) & set(nucleus_uuids("b", ids))
    assert {uuid.UUID(each.decode()).version for each in first[:100]} == {8}
    assert {uuid.UUID(each.decode()).variant for each in first[:100]} == {uuid.RFC_4122}
