"""Regions as QuPath exports them: names, classes, holes, parts, overlaps."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from wsiseg.errors import UsageError
from wsiseg.slides.regions import Region, Regions, parse_regions, read_regions, regions_file


def feature(shape: Any, name: str | None = None, kind: str | None = None) -> dict[str, Any]:
    properties: dict[str, Any] = {"objectType": "annotation"}
    if name is not None:
        properties["name"] = name
    if kind is not None:
        properties["classification"] = {"name": kind, "color": [200, 0, 0]}
    return {"type": "Feature", "geometry": json.loads(shapely.to_geojson(shape)), "properties": properties}


def written(path: Path, *features: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


RING = shapely.Polygon([(0, 0), (100, 0), (100, 100), (0, 100)], [[(40, 40), (60, 40), (60, 60), (40, 60)]])


def test_regions_drawn_on_the_scan_move_to_the_slide(tmp_path: Path) -> None:
    file = str(written(tmp_path / "drawn.geojson", feature(RING, "A")))
    plain, moved = read_regions(file), read_regions(file, (300, 120))
    assert plain[0].shape.bounds == (0, 0, 100, 100)
    assert moved[0].shape.bounds == (300, 120, 400, 220)
    assert moved.areas_l0(1000, 800) == plain.areas_l0(1000, 800) == [9600, 9600]


def test_names_and_classes() -> None:
    features = [
        feature(RING, "A; b", "Tumor"),
        feature(RING, kind="Tumor"),
        feature(RING, kind="Tumor"),
        feature(RING),
        feature(shapely.Point(3, 4), "a point"),
        feature(shapely.LineString([(0, 0), (1, 1)]), "a line"),
    ]
    regions = parse_regions(json.dumps({"type": "FeatureCollection", "features": features}))
    assert [(region.name, region.classification) for region in regions] == [
        ("A, b", "Tumor"), ("Tumor", "Tumor"), ("Tumor 2", "Tumor"), ("region", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("wrap", [lambda f: f, lambda f: [f, f], lambda f: f["geometry"]])
def test_any_document(wrap: Any) -> None:
    assert len(parse_regions(json.dumps(wrap(feature(RING))))) in (1, 2)


def test_holes_parts_and_overlaps() -> None:
    islands = shapely.MultiPolygon([shapely.box(200, 0, 220, 20), shapely.box(300, 0, 320, 20)])
    regions = Regions(
        [
            Region("ring", "", RING),
            Region("islands", "", islands),
            Region("in", "", shapely.box(30, 30, 50, 50)),
        ]
    )
    x, y = np.array([[10, 50, 210, 250, 310, 35, 0], [10, 50, 10, 10, 10, 35, 0]], np.float64)
    assert regions.holding(x, y).tolist() == [
        [True, False, False, False, False, True, True],
        [False, False, True, False, True, False, False],
        [False, True, False, False, False, True, False],
    ]
    assert regions.areas_l0(310, 90) == pytest.approx([9000 - 400, 400 + 200, 400, 9000 - 400 + 600 + 100])


@given(st.integers(0, 2**16))
def test_a_bow_tie_is_its_valid_part_and_text_keeps_all(seed: int) -> None:
    points = np.random.default_rng(seed).integers(0, 1000, (8, 2)) / 10
    text = json.dumps({"type": "Polygon", "coordinates": [[*points.tolist(), points[0].tolist()]]})
    regions = parse_regions(text)
    for again in (parse_regions(regions.text), pickle.loads(pickle.dumps(regions))):  # noqa: S301
        assert [region.name for region in again] == [region.name for region in regions]
        for one, other in zip(again, regions, strict=True):
            assert shapely.symmetric_difference(one.shape, other.shape).area < 1e-9
    assert all(region.shape.is_valid for region in regions)


def test_what_is_computed_has_a_margin_that_does_not_count() -> None:
    tissue = Regions([Region("ring", "", RING)]).tissue((200, 150), 10.0, 2)
    assert tissue.mask.shape == (15, 20)
    assert tissue.without_margin[:10, :10].sum() >= 91
    assert not tissue.without_margin[:, 11:].any()
    assert tissue.mask[:12, :12].all()
    assert not tissue.mask[13:].any()


def test_a_file_or_the_one_of_the_slide_in_a_folder(tmp_path: Path) -> None:
    path = written(tmp_path / "b.geojson", feature(RING, "x"))
    assert regions_file(str(path), ["a"]) == str(path)
    assert regions_file(str(tmp_path), ["a", "b"]) == str(path)
    assert regions_file(str(tmp_path), ["a"]) is None
    assert [region.name for region in read_regions(str(path))] == ["x"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read as regions"),
        ("7", "cannot be read as regions: it is not GeoJSON"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1, "a"], [1, 1], [0, 0]]]}', "cannot be read"),
        ('{"type": "FeatureCollection", "features": []}', "holds no area"),
        ('{"type": "Feature", "geometry": null, "properties": {}}', "holds no area"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "r.geojson").write_text(text)
    with pytest.raises(UsageError, match=rf"r\.geojson: {said}"):
        read_regions(str(tmp_path / "r.geojson"))
    with pytest.raises(UsageError, match="there is no such file of regions"):
        read_regions(str(tmp_path / "none"))
