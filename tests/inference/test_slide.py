"""What a finished slide leaves: files that agree with each other, the slide, and the formats' rules."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import shapely
import zarr
from outputs import array, features, predicted
from PIL import Image
from scipy.spatial import cKDTree

from wsiseg import predict
from wsiseg.config import ObjectsConfig, PredictConfig, TissueConfig
from wsiseg.inference import pipeline
from wsiseg.synthetic import SyntheticSlide, write_synthetic
from wsiseg.tiles import Box


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, svs_slide: Path, model_file: Path) -> Path:
    """The outputs of the slide, preview included."""
    folder = tmp_path_factory.mktemp("outputs")
    (report,) = predict(svs_slide, folder, model_file)
    assert report.state == "done"
    return folder


def test_store_is_an_ome_zarr_that_another_reader_opens(out: Path) -> None:
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    nodes = list(Reader(parse_url(out / "slide.zarr", mode="r"))())
    shapes = [[tuple(level.shape) for level in node.data] for node in nodes]
    assert shapes[0] == [(1180, 1500), (590, 750), (295, 375)]
    assert shapes[-1] == shapes[0]
    attributes = zarr.open_group(out / "slide.zarr", mode="r").attrs.asdict()["ome"]
    assert attributes["version"] == "0.5"
    transforms = attributes["multiscales"][0]["datasets"][1]["coordinateTransformations"]
    assert transforms == [
        {"type": "scale", "scale": [0.5, 0.5]},
        {"type": "translation", "translation": [0.125, 0.125]},
    ]


def test_store_is_what_the_ome_zarr_models_expect(out: Path) -> None:
    models = pytest.importorskip("ome_zarr_models")
    models.open_ome_zarr(zarr.open_group(out / "slide.zarr", mode="r"))
    from ome_zarr_models.v05 import Image as ImageModel

    ImageModel.from_zarr(zarr.open_group(out / "slide.zarr", mode="r"))


def test_what_holds_no_tissue_is_not_stored(tmp_path: Path, svs_slide: Path, model_file: Path) -> None:
    mask = np.zeros((118, 150), np.uint8)
    mask[60:80, 10:40] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    predicted(svs_slide, tmp_path, model_file, tissue=TissueConfig(mask=str(tmp_path / "mask.png")))
    store = tmp_path / "slide.zarr"
    for name in ("0", "labels/nuclei/0", "haematoxylin"):
        chunks = [
            file.relative_to(store / name / "c") for file in (store / name / "c").rglob("*") if file.is_file()
        ]
        assert chunks
        assert {chunk.parts[1] for chunk in chunks} == {"0"}  # nothing right of column 1024
    assert not (store / "work").exists()


def test_ids_and_areas_agree_in_labels_table_and_polygons(out: Path) -> None:
    labels = array(out / "slide.zarr", "labels/nuclei/0")
    table = pd.read_parquet(out / "slide.parquet")
    measured = [feature["properties"]["measurements"] for feature in features(out / "slide.geojson")]
    assert labels.dtype == np.uint32
    assert list(table["id"]) == list(range(1, len(table) + 1)) == [m["Nucleus ID"] for m in measured]
    areas_px = np.bincount(labels.ravel())[1:]
    np.testing.assert_allclose(table["area_um2"], areas_px * 0.25**2, rtol=1e-6)
    np.testing.assert_allclose([m["Area µm^2"] for m in measured], table["area_um2"], atol=0.006)
    rows, cols = (np.floor(table[f"centroid_{axis}_l0"]).astype(int) for axis in "yx")
    assert (labels[rows, cols] == table["id"]).mean() > 0.95  # but for crescents
    assert {"centroid_x_um", "perimeter_um", "circularity", "mean_confidence", "haematoxylin_mean"} <= set(
        table
    )
    assert table.notna().all(axis=None)
    assert pq.read_schema(out / "slide.parquet").field("area_um2").metadata[b"unit"] == b"um^2"


def test_polygons_keep_the_area_of_the_mask(
    out: Path, tmp_path: Path, svs_slide: Path, model_file: Path
) -> None:
    pixels = np.count_nonzero(array(out / "slide.zarr", "labels/nuclei/0"))
    simplified = sum(shapely.geometry.shape(f["geometry"]).area for f in features(out / "slide.geojson"))
    assert simplified == pytest.approx(pixels, rel=0.01)
    predicted(svs_slide, tmp_path, model_file, objects=ObjectsConfig(simplify_um=0))
    exact = [shapely.geometry.shape(f["geometry"]) for f in features(tmp_path / "slide.geojson")]
    assert sum(shape.area for shape in exact) == pixels
    # each polygon is the outline of its label's pixels, corner on corner
    labels = array(tmp_path / "slide.zarr", "labels/nuclei/0")
    for number in (1, len(exact) // 2, len(exact)):
        rows, cols = np.nonzero(labels == number)
        assert exact[number - 1].bounds == (cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)


def faults(feature: dict[str, Any]) -> list[str]:
    """Return what QuPath would refuse or misread in a feature."""
    geometry, properties = feature["geometry"], feature["properties"]
    parts = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}[geometry["type"]]
    points = np.array([point for part in parts for ring in part for point in ring])
    shape = shapely.geometry.shape(geometry)
    found = {
        "invalid": not shape.is_valid or shape.area <= 0,
        "one part": geometry["type"] == "MultiPolygon" and len(parts) < 2,
        "open ring": any(ring[0] != ring[-1] or len(ring) < 4 for part in parts for ring in part),
        "off the grid": np.abs(points * 100 - np.rint(points * 100)).max() > 1e-4,
        "kind": properties["objectType"] != "detection"
        or set(properties) != {"objectType", "classification", "measurements"},
        "class": properties["classification"] != {"name": "Nucleus", "color": [200, 0, 0]},
        "measurements": not all(np.isfinite(value) for value in properties["measurements"].values()),
        "keys": set(feature) != {"type", "id", "geometry", "properties"} or feature["type"] != "Feature",
    }
    return [fault for fault, is_so in found.items() if is_so]


def test_geojson_keeps_the_rules_of_qupath(out: Path) -> None:
    found = features(out / "slide.geojson")
    assert not [fault for feature in found for fault in faults(feature)]
    assert len({UUID(feature["id"]) for feature in found}) == len(found) > 100


def test_geojson_passes_the_checker_beside_the_project(out: Path, shared_data: Path) -> None:
    checker = shared_data.parent / "tools" / "check_qupath_geojson.py"
    if not checker.is_file():
        pytest.skip("the checker is not beside the project")
    assert not runpy.run_path(str(checker))["main"]([str(out / "slide.geojson")])


@pytest.mark.parametrize("mpp", [0.25, 0.4, 0.5])
def test_places_are_level_0_pixels_at_any_resolution(tmp_path: Path, model_file: Path, mpp: float) -> None:
    # far apart and round, so that each is found and its centre is sure; rows and columns differ
    centres = [(60.0 + 97.3 * i, 80.0 + 111.7 * j) for i in range(8) for j in range(4)]
    slide = SyntheticSlide(
        860, 520, seed=2, density=0, tissue_share=1, pen=False, stain_variation=0, noise=0,
        extra_nuclei=tuple((x, y, 16.0) for x, y in centres),
    )  # fmt: skip
    path = write_synthetic(tmp_path / "s.svs", slide, levels=(2,), quality=95, workers=1)
    predicted(path, tmp_path, model_file, mpp=mpp)
    table = pd.read_parquet(tmp_path / "s.parquet")
    truth = slide.nuclei(Box(0, 0, 860, 520)).centres_l0
    distance, nearest = cKDTree(table[["centroid_x_l0", "centroid_y_l0"]]).query(truth)
    hit = distance < 8
    assert hit.mean() > 0.9
    offset = table[["centroid_x_l0", "centroid_y_l0"]].to_numpy()[nearest[hit]] - truth[hit]
    assert np.abs(np.median(offset, axis=0)).max() < 0.5
    shapes = [shapely.geometry.shape(f["geometry"]) for f in features(tmp_path / "s.geojson")]
    traced = np.array([shape.centroid.coords[0] for shape in shapes])
    assert np.abs(np.median(traced[nearest[hit]] - truth[hit], axis=0)).max() < 0.5
    np.testing.assert_allclose(table["centroid_x_um"], table["centroid_x_l0"] * 0.25, rtol=2e-3)


def test_preview_shows_the_slide_and_its_nuclei(out: Path) -> None:
    with Image.open(out / "slide.preview.jpg") as picture:
        rgb = np.asarray(picture.convert("RGB"))
    assert min(rgb.shape[:2]) >= 1000
    assert rgb.std() > 10
    assert (np.ptp(rgb.reshape(-1, 3), axis=0) > 100).all()


def test_an_empty_slide_leaves_empty_outputs_and_a_warning(tmp_path: Path, model_file: Path) -> None:
    slide = SyntheticSlide(700, 600, density=0, tissue_share=0, pen=False)
    path = write_synthetic(tmp_path / "glass.svs", slide, workers=1)
    (report,) = predict(path, tmp_path / "out", model_file)
    assert (report.state, report.is_whole, report.nuclei, report.tiles) == ("done", True, 0, 0)
    assert "no tissue" in report.warnings
    assert features(tmp_path / "out" / "glass.geojson") == []
    assert len(pd.read_parquet(tmp_path / "out" / "glass.parquet")) == 0
    assert not array(tmp_path / "out" / "glass.zarr", "labels/nuclei/0").any()
    assert (tmp_path / "out" / "glass.preview.jpg").stat().st_size > 1000


def test_only_tissue_is_read_and_a_mask_or_the_user_says_what_it_is(
    tmp_path: Path, svs_slide: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Box] = []
    plain = pipeline._read

    def spy(view: Any, window: Box) -> Any:
        read.append(window)
        return plain(view, window)

    monkeypatch.setattr(pipeline, "_read", spy)
    mask = np.zeros((118, 150), np.uint8)
    mask[60:80, 10:40] = 255  # level-0 rows 600..800, columns 100..400
    Image.fromarray(mask).save(tmp_path / "mask.png")
    (report,) = predicted(
        svs_slide, tmp_path / "mask", model_file, tissue=TissueConfig(mask=str(tmp_path / "mask.png"))
    )
    assert report.tiles == 1
    assert read == [Box(0, 512 - 83, 512 + 83, 1024 + 83)]
    table = pd.read_parquet(tmp_path / "mask" / "slide.parquet")
    assert table["centroid_x_l0"].between(90, 410).all()
    assert table["centroid_y_l0"].between(590, 810).all()
    assert len(table) > 5

    read.clear()
    (report,) = predicted(svs_slide, tmp_path / "all", model_file, tissue=TissueConfig(detect=False))
    assert report.tiles == len(read) == 4
    assert report.tissue_mm2 == pytest.approx(1500 * 1180 * 0.25**2 * 1e-6, rel=1e-3)


def test_the_python_call_takes_the_config_of_the_command(
    tmp_path: Path, small_slide: Path, model_file: Path
) -> None:
    config = PredictConfig(gzip=True, workers=1)
    (report,) = predict([small_slide], tmp_path, model_file, slide_mpp=0.25, config=config)
    assert report.nuclei > 20
    assert (tmp_path / "small.geojson.gz").exists()
