"""Nuclei again from a store: the same with the same settings, others with others, the network never run."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from outputs import digests, features, predicted

from wsiseg import export
from wsiseg.config import ObjectsConfig, PredictConfig
from wsiseg.errors import StoreError


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, svs_slide: Path, model_file: Path) -> Path:
    """A slide predicted with settings that are not the default ones."""
    folder = tmp_path_factory.mktemp("out")
    predicted(svs_slide, folder, model_file, objects=ObjectsConfig(min_area_um2=15.0, threshold=0.4))
    return folder


def test_the_store_s_own_settings_give_the_same_bytes(out: Path, tmp_path: Path) -> None:
    before = digests(out)
    done = export(out / "slide.zarr", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"slide.geojson", "slide.parquet"}
    for path in (*done.geojson, done.parquet):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == before[path.name]
    assert done.nuclei == len(features(out / "slide.geojson"))
    assert digests(out) == before


def test_other_settings_give_other_nuclei(out: Path, tmp_path: Path) -> None:
    counts = {}
    for name, objects in {
        "same": ObjectsConfig(min_area_um2=15.0, threshold=0.4),
        "large": ObjectsConfig(min_area_um2=40.0, threshold=0.4),
        "sure": ObjectsConfig(min_area_um2=15.0, threshold=0.999),
        "whole": ObjectsConfig(min_area_um2=15.0, threshold=0.4, split=False),
    }.items():
        config = PredictConfig(objects=objects, tile_px=400, workers=1)
        counts[name] = export(out / "slide.zarr", tmp_path / name, config).nuclei
    assert 0 < counts["large"] < counts["same"]
    assert counts["sure"] < counts["same"]
    assert counts["whole"] < counts["same"]


def test_compressed_and_in_parts(out: Path, tmp_path: Path) -> None:
    objects = ObjectsConfig(min_area_um2=15.0, threshold=0.4)
    done = export(out / "slide.zarr", tmp_path, PredictConfig(objects=objects, gzip=True, split=100))
    parts = [json.loads(gzip.decompress(path.read_bytes()))["features"] for path in done.geojson]
    assert len(parts) == -(-done.nuclei // 100) > 1
    assert [len(part) for part in parts[:-1]] == [100] * (len(parts) - 1)
    assert [feature for part in parts for feature in part] == features(out / "slide.geojson")
    assert pq.read_metadata(done.parquet).num_rows == done.nuclei
    # fewer parts leave none of the others behind
    done = export(out / "slide.zarr", tmp_path, PredictConfig(objects=objects, gzip=True))
    assert [path.name for path in tmp_path.glob("*.gz")] == ["slide.geojson.gz"]


def test_what_is_no_finished_store_is_refused(out: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    shutil.copytree(out / "slide.zarr", tmp_path / "half.zarr")
    root = tmp_path / "half.zarr" / "zarr.json"
    root.write_text(root.read_text().replace('"complete"', '"unfinished"'))
    for store, said in [
        (tmp_path / "no", "no such store"),
        (tmp_path / "empty", "empty"),
        (tmp_path / "half.zarr", "resume"),
    ]:
        with pytest.raises(StoreError, match=said):
            export(store, tmp_path / "out")
