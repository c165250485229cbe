"""Labels as outlines: XML and GeoJSON."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from label_files import XML, feature, region, square
from PIL import Image
from scipy import ndimage

from wsiseg.errors import LabelError
from wsiseg.evaluation import metrics
from wsiseg.evaluation.labels import load_labels, read_labels
from wsiseg.slides.stain import haematoxylin_density


def png(path: Path, values: Any, mode: str | None = None) -> Path:
    picture = Image.fromarray(np.asarray(values))
    (picture.convert(mode) if mode else picture).save(path)
    return path


def test_monuseg_xml_x_is_the_column_and_the_first_keeps_its_pixels(tmp_path: Path) -> None:
    first = region((1, -3), (3, -3), (3, 2), (1, 2))
    second = region((2, 1), (5, 1), (5, 3), (2, 3))
    (tmp_path / "a.xml").write_text(XML.format(first + second + region((0, 0), (1, 1))))
    labels = load_labels(tmp_path / "a.xml", (3, 6))
    assert labels.image.tolist() == [[0, 1, 1, 0, 0, 0], [0, 1, 1, 2, 2, 0], [0, 0, 2, 2, 2, 0]]
    assert labels.has_instances


def test_a_negative_region_is_cut_out(tmp_path: Path) -> None:
    whole, cut = (
        region((-1, -1), (9, -1), (9, 9), (-1, 9)),
        region((1, 1), (2, 1), (2, 2), (1, 2), negative=1),
    )
    (tmp_path / "a.xml").write_text(XML.format(cut + whole))
    assert read_labels(tmp_path / "a.xml", (3, 3)).tolist() == [[1, 1, 1], [1, 0, 1], [1, 1, 1]]


def test_geojson_pixels_holes_and_parts(tmp_path: Path) -> None:
    ring = feature([square(0, 0, 3, 3), square(1, 1, 2, 2)])
    parts = feature([[square(4, 0, 5, 1)], [square(4, 2, 6, 3)]], shape="MultiPolygon")
    tissue = feature([square(0, 0, 6, 3)], kind="annotation")
    everything = {"type": "FeatureCollection", "features": [tissue, ring, parts]}
    (tmp_path / "a.geojson").write_text(json.dumps(everything))
    with gzip.open(tmp_path / "b.geojson.gz", "wt") as packed:
        json.dump(everything["features"], packed)
    expected = [[1, 1, 1, 0, 2, 0], [1, 0, 1, 0, 0, 0], [1, 1, 1, 0, 2, 2]]
    for file in ("a.geojson", "b.geojson.gz"):
        assert read_labels(tmp_path / file, (3, 6)).tolist() == expected


def test_geojson_without_kinds_and_with_nuclei_in_cells(tmp_path: Path) -> None:
    plain = tmp_path / "plain.geojson"
    plain.write_text(json.dumps(feature([square(1, 0, 2, 1)], kind=None)))
    assert read_labels(plain, (1, 3)).tolist() == [[0, 1, 0]]
    inner = {"type": "Polygon", "coordinates": [square(2, 0, 3, 1)]}
    cell = tmp_path / "cell.geojson"
    cell.write_text(json.dumps([feature([square(0, 0, 3, 1)], kind="cell", nucleusGeometry=inner)]))
    assert read_labels(cell, (1, 3)).tolist() == [[0, 0, 1]]


def test_outlines_without_a_size_get_one_that_holds_them(tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text(json.dumps([feature([square(2, 1, 4, 2)])]))
    image = read_labels(tmp_path / "a.geojson")
    assert image.sum() == 2
    assert image[1, 2:4].tolist() == [1, 1]


def test_outlines_of_another_image_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text(json.dumps([feature([square(90, 90, 95, 95)])]))
    with pytest.raises(LabelError, match="labels of another image"):
        read_labels(tmp_path / "a.geojson", (10, 10))


@pytest.mark.slow
@pytest.mark.real_data
def test_monuseg_masks_are_its_xml_painted_half_a_pixel_off(shared_data: Path, tmp_path: Path) -> None:
    name = "TCGA-50-5931-01Z-00-DX1"
    mask = load_labels(shared_data / "monuseg" / "masks" / f"{name}.png", (1000, 1000))
    annotation = shared_data / "monuseg" / "annotations" / f"{name}.xml"
    nuclei = load_labels(annotation, (1000, 1000))
    assert (len(np.unique(nuclei.image)) - 1, mask.has_instances, nuclei.has_instances) == (444, False, True)
    (tmp_path / "moved.xml").write_text(
        re.sub(r' ([XY])="([^"]+)"', lambda m: f' {m[1]}="{float(m[2]) + 0.5}"', annotation.read_text())
    )
    moved = load_labels(tmp_path / "moved.xml", (1000, 1000))
    assert metrics.dice(mask.image, moved.image) > 0.998
    assert 0.97 < metrics.dice(mask.image, nuclei.image) < 0.98


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("moved", [(1, 0), (0, 1), (1, 1), (-1, -1)])
def test_monuseg_xml_lies_on_the_nuclei_of_its_image(shared_data: Path, moved: tuple[int, int]) -> None:
    folder, name = shared_data / "monuseg", "TCGA-50-5931-01Z-00-DX1"
    density = haematoxylin_density(tifffile.imread(folder / "images" / f"{name}.tif")).astype(float)
    nucleus = load_labels(folder / "annotations" / f"{name}.xml", (1000, 1000)).image > 0
    rim = nucleus & ~ndimage.binary_erosion(nucleus, iterations=2)
    around = ndimage.binary_dilation(nucleus, iterations=2) & ~nucleus

    def contrast(rim: Any, around: Any) -> float:
        return float(density[rim].mean() - density[around].mean())

    assert contrast(rim, around) > contrast(np.roll(rim, moved, (0, 1)), np.roll(around, moved, (0, 1)))
