"""`--regions`: the nuclei of the whole slide whose centre lies in a region, and no others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from outputs import array, digests, predicted, summary
from slides.test_regions import feature, written

from wsiseg.config import TissueConfig
from wsiseg.errors import UsageError
from wsiseg.inference.export import export

MPP = 0.25
# In the half of the slide that is tissue: one with a hole, one of two parts, an overlap, and glass.
TUMOUR = shapely.difference(shapely.box(650, 150, 1300, 900), shapely.box(900, 400, 1050, 600))
PARTS = shapely.MultiPolygon([shapely.box(1000, 700, 1450, 1100), shapely.box(20, 20, 90, 90)])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, svs_slide: Path, model_file: Path) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("whole")
    predicted(svs_slide, out, model_file, tissue=TissueConfig(detect=False))
    return pd.read_parquet(out / "slide.parquet")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    return written(folder / "slide.geojson", feature(TUMOUR, "core", "Tumor"), feature(PARTS, kind="Stroma"))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, svs_slide: Path, model_file: Path, drawn: Path) -> Path:
    folder = tmp_path_factory.mktemp("out")
    predicted(svs_slide, folder, model_file, workers=1, tissue=TissueConfig(regions=str(drawn)))
    return folder


def test_they_are_those_of_the_whole_slide(out: Path, whole: pd.DataFrame) -> None:
    found = pd.read_parquet(out / "slide.parquet")
    x, y = whole["centroid_x_l0"], whole["centroid_y_l0"]
    held = [shapely.intersects_xy(shape, x, y) for shape in (TUMOUR, PARTS)]
    expected = whole[held[0] | held[1]].drop(columns="id").reset_index(drop=True)
    assert len(expected) > 50
    pd.testing.assert_frame_equal(found[expected.columns], expected)
    names = np.array(["", "core", "Stroma", "core; Stroma"])[held[0] + 2 * held[1]]
    assert found["region"].tolist() == [name for name in names if name]
    assert set(found["region"]) == {"core", "Stroma", "core; Stroma"}


def test_labels_hold_them_alone(out: Path) -> None:
    labels = array(out / "slide.zarr", "labels/nuclei/0")
    table = pd.read_parquet(out / "slide.parquet")
    np.testing.assert_allclose(np.bincount(labels.ravel())[1:] * MPP**2, table["area_um2"], rtol=1e-6)


def test_they_are_counted_in_the_summary(out: Path) -> None:
    row = summary(out)["slide"]
    table = pd.read_parquet(out / "slide.parquet")
    core, stroma = json.loads(row["regions"])
    assert (core["name"], core["class"], stroma["name"]) == ("core", "Tumor", "Stroma")
    assert core["nuclei"] == table["region"].str.contains("core").sum()
    assert stroma["nuclei"] == table["region"].str.contains("Stroma").sum()
    assert core["area_mm2"] == pytest.approx(TUMOUR.area * MPP**2 * 1e-6, rel=1e-3)
    assert core["nuclei_per_mm2"] == pytest.approx(core["nuclei"] / core["area_mm2"], rel=1e-3)
    area_mm2 = shapely.union(TUMOUR, PARTS).area * MPP**2 * 1e-6
    assert float(row["tissue_mm2"]) == pytest.approx(area_mm2, rel=1e-3)


@pytest.mark.parametrize("tile_px", [200, 640])
def test_tiles_change_nothing(
    tmp_path: Path, out: Path, svs_slide: Path, model_file: Path, drawn: Path, tile_px: int
) -> None:
    predicted(
        svs_slide, tmp_path, model_file, tile_px=tile_px, tissue=TissueConfig(regions=str(drawn.parent))
    )
    assert digests(tmp_path) == digests(out)


def test_the_store_is_enough_to_write_them_again(tmp_path: Path, out: Path) -> None:
    export(out / "slide.zarr", tmp_path)
    assert pd.read_parquet(tmp_path / "slide.parquet").equals(pd.read_parquet(out / "slide.parquet"))


def test_a_list_names_them_and_a_slide_without_is_told(
    tmp_path: Path, svs_slide: Path, model_file: Path, drawn: Path, out: Path
) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(f"slide,regions\n{svs_slide},{drawn}\n")
    (report,) = predicted(listed, tmp_path / "listed", model_file)
    assert report.nuclei == len(pd.read_parquet(out / "slide.parquet"))
    (tmp_path / "none").mkdir()
    (report,) = predicted(
        svs_slide, tmp_path / "out", model_file, tissue=TissueConfig(regions=str(tmp_path / "none"))
    )
    assert report.state == "failed"
    assert "has no regions in" in report.cause
    assert "put slide.geojson there" in report.cause


def test_other_regions_are_other_settings(
    tmp_path: Path, out: Path, svs_slide: Path, model_file: Path, drawn: Path
) -> None:
    other = written(tmp_path / "other.geojson", feature(TUMOUR))
    (report,) = predicted(svs_slide, out, model_file, tissue=TissueConfig(regions=str(other)))
    assert "other regions" in report.cause
    both = TissueConfig(regions=str(drawn), mask=str(drawn))
    with pytest.raises(UsageError, match="give one of them"):
        predicted(svs_slide, tmp_path / "out", model_file, tissue=both)
