"""Types learned and written: on tables whose nuclei are of two kinds by construction."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_outputs import write_slide
from outputs import features

import wsiseg
from wsiseg.errors import ModelError, UsageError
from wsiseg.machine.marks import is_ours
from wsiseg.objects.geojson import GeoJSONWriter
from wsiseg.objects.parquet import ParquetWriter, file_schema
from wsiseg.store.slide_store import SlideStore
from wsiseg.types.apply import apply_types
from wsiseg.types.features import feature_names, feature_values
from wsiseg.types.learn import fit_types, learn_types
from wsiseg.types.model import TypesModel, load_types


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A finished slide of 400 nuclei: small and dark on the left, large and pale on the right."""
    outputs = write_slide(tmp_path, squares=2)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 300, (2, 400))
    is_small = x < 150
    corners = np.stack([x, y], 1) * 2
    import shapely

    columns = {name: np.ones(400) for name in file_schema().names} | {
        "id": np.arange(1, 401), "centroid_x_um": x, "centroid_y_um": y, "centroid_x_l0": 4 * x,
        "centroid_y_l0": 4 * y, "area_um2": np.where(is_small, 20, 60) * rng.uniform(0.9, 1.1, 400),
        "haematoxylin_mean": np.where(is_small, 0.8, 0.3) + rng.normal(0, 0.02, 400),
        "geometry": shapely.to_wkb(shapely.box(*corners.T, *(corners + 5).T)),
    }  # fmt: skip
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in file_schema()]
    nuclei = pa.Table.from_arrays(arrays, schema=file_schema())
    with ParquetWriter(outputs.parquet) as parquet, GeoJSONWriter(outputs.geojson, "f") as geojson:
        parquet.write(nuclei)
        geojson.write(nuclei)
    return outputs.parquet


def small_ones(path: Path) -> np.ndarray:
    return pd.read_parquet(path)["area_um2"].to_numpy() < 40


def test_types_without_labels_are_stable_and_found(table: Path, tmp_path: Path) -> None:
    model = fit_types([table], 2)
    assert model.names == ("type 1", "type 2")
    assert model.told["adjusted_rand_of_bootstraps"]["2"] > 0.95
    numbers, probability = model.classify(pq.read_table(table))
    assert set(np.unique(numbers[small_ones(table)])) != set(np.unique(numbers[~small_ones(table)]))
    assert (probability > 0.5).all()
    assert fit_types([table], 2) == model
    assert len(fit_types([table]).names) >= 2


@pytest.mark.parametrize("by_id", [True, False])
def test_a_few_named_nuclei_are_enough(table: Path, tmp_path: Path, by_id: bool) -> None:
    nuclei, is_small = pd.read_parquet(table), small_ones(table)
    picked = np.concatenate([np.flatnonzero(is_small)[:5], np.flatnonzero(~is_small)[:5]])
    clicks = pd.DataFrame({"slide": "slide", "class": np.where(is_small[picked], "lymphocyte", "tumour")})
    if by_id:
        clicks["id"] = nuclei["id"].to_numpy()[picked]
    else:
        clicks["x_l0"], clicks["y_l0"] = (nuclei[f"centroid_{a}_l0"].to_numpy()[picked] + 3 for a in "xy")
    clicks.to_csv(tmp_path / "clicks.csv", index=False)
    model = learn_types([table], tmp_path / "clicks.csv")
    assert model.names == ("lymphocyte", "tumour")
    assert model.told["clicks"] == {"lymphocyte": 5, "tumour": 5}
    numbers, _ = model.classify(pq.read_table(table))
    np.testing.assert_array_equal(numbers == 0, is_small)


def test_every_file_has_the_class(table: Path, tmp_path: Path) -> None:
    fit_types([table], 2).save(tmp_path / "types.json")
    stored = json.loads((tmp_path / "types.json").read_text())
    stored["names"] = ['Tumör "x"', "Immune cells"]
    (tmp_path / "types.json").write_text(json.dumps(stored))
    model = load_types(tmp_path / "types.json")
    before = wsiseg.read_nuclei(table).drop(columns="geometry")
    for _ in range(2):  # a second time replaces the first
        counts = apply_types(table, model)
    after = wsiseg.read_nuclei(table)
    assert is_ours(table)
    pd.testing.assert_frame_equal(pd.DataFrame(after[before.columns]), pd.DataFrame(before))
    assert after["class"].value_counts().to_dict() == counts
    assert after["class_probability"].between(0.5, 1).all()
    drawn = [feature["properties"]["classification"] for feature in features(table.with_suffix(".geojson"))]
    assert [one["name"] for one in drawn] == after["class"].tolist()
    assert {one["name"]: tuple(one["color"]) for one in drawn} == dict(
        zip(model.names, model.colours, strict=True)
    )
    told = SlideStore(table.with_suffix(".zarr")).provenance["summary"]["types"]
    assert {one["name"]: one["nuclei"] for one in told} == counts
    assert not list(tmp_path.glob(".*"))


def test_named_nuclei_that_are_none_are_told(table: Path, tmp_path: Path) -> None:
    ids = pq.read_table(table)["id"].to_pylist()
    rows = [
        f"slide,a,{ids[0]},,",
        f"slide,b,{ids[1]},,",
        "slide,b,99999,,",
        "slide,b,,-500,-600",
        "gone,a,1,,",
    ]
    (tmp_path / "clicks.csv").write_text("slide,class,id,x_l0,y_l0\n" + "\n".join(rows) + "\n")
    told = learn_types([table], tmp_path / "clicks.csv").told
    assert told["clicks"] == {"a": 1, "b": 1}
    assert told["left_out"] == ["slide id 99999", "slide (-500, -600)", "gone id 1"]


def test_features_are_numbers_of_the_nucleus_alone(table: Path) -> None:
    nuclei = pq.read_table(table)
    names = feature_names(nuclei.schema)
    assert "area_um2" in names
    assert not {"id", "geometry", "centroid_x_um", "mean_confidence", "orientation_deg"} & set(names)
    plain, around = feature_values(nuclei, names, False), feature_values(nuclei, names, True)
    assert around.shape == (400, 2 * plain.shape[1])
    np.testing.assert_array_equal(around[:, : plain.shape[1]], plain)
    few = feature_values(nuclei.slice(0, 3), names, True)
    np.testing.assert_allclose(few[:, plain.shape[1] :], np.tile(plain[:3].mean(0), (3, 1)))


def test_what_is_wrong_is_said(table: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("[]")
    with pytest.raises(ModelError, match="not types that wsiseg learned"):
        load_types(bad)
    with pytest.raises(ModelError, match="do not fit together"):
        TypesModel(("a", "b"), ((0, 0, 0), (1, 1, 1)), ("area_um2",), False, [0.0], [1.0], [[1.0]], [0.0])
    (tmp_path / "clicks.csv").write_text("slide,class,id\nslide,a,1\nslide,a,2\n")
    with pytest.raises(UsageError, match=r"names nuclei of one class only \(a\) in these slides"):
        learn_types([table], tmp_path / "clicks.csv")
    (tmp_path / "clicks.csv").write_text("slide,class,id\nslide,a,99999\nother,b,2\n")
    with pytest.raises(UsageError, match=r"of no class.*not found there: slide id 99999, other id 2"):
        learn_types([table], tmp_path / "clicks.csv")
    (tmp_path / "clicks.csv").write_text("slide,kind\nslide,a\n")
    with pytest.raises(UsageError, match="needs the columns"):
        learn_types([table], tmp_path / "clicks.csv")
    with pytest.raises(UsageError, match="no column nonsense; predict with --measurements all"):
        feature_values(pq.read_table(table), ("nonsense",), False)
