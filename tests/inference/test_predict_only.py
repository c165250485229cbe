"""Few files: what `--only` and `--one-table` leave, and that later runs know what is done."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from outputs import predicted

import wsiseg
from wsiseg.config import OUTPUT_KINDS, ObjectsConfig, output_kinds
from wsiseg.errors import StoreError, UsageError
from wsiseg.inference import pipeline
from wsiseg.report.batch_index import finished_slides
from wsiseg.store.finished import open_finished
from wsiseg.store.outputs import Outputs
from wsiseg.store.slide_store import SlideStore

FEW = ("geojson", "parquet")
LARGE = ObjectsConfig(min_area_um2=20.0)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def few(tmp_path: Path, small_slide: Path, model_file: Path) -> Path:
    """A folder with polygons and table of `small`, and nothing else of it."""
    (report,) = predicted(small_slide, tmp_path / "out", model_file, slide_mpp=0.25, only=FEW)
    assert (report.state, report.nuclei > 20) == ("done", True)
    return tmp_path / "out"


def test_what_is_not_asked_for_is_not_kept(few: Path) -> None:
    assert files(few) == {
        "run.json", "summary.csv", "small.geojson", "small.parquet", "small.zarr/zarr.json",
    }  # fmt: skip
    with pytest.raises(StoreError, match="its arrays were not kept"):
        open_finished(few / "small.zarr")


def test_a_later_run_knows_the_slide(
    few: Path, small_slide: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "compute_block", None)
    (report,) = predicted(small_slide, few, model_file, slide_mpp=0.25, only=FEW)
    assert (report.state, report.nuclei > 20) == ("skipped", True)
    (report,) = predicted(small_slide, few, model_file, slide_mpp=0.25, only=("parquet",))
    assert report.state == "skipped"
    (report,) = predicted(small_slide, few, model_file, slide_mpp=0.25, only=FEW, objects=LARGE)
    assert (report.state, "made with other settings" in report.cause) == ("kept", True)


@pytest.mark.parametrize("only", [OUTPUT_KINDS, (*FEW, "preview")])
def test_what_is_missing_is_made_from_the_slide(
    few: Path, small_slide: Path, model_file: Path, only: tuple[str, ...]
) -> None:
    before = (few / "small.geojson").read_bytes()
    (report,) = predicted(small_slide, few, model_file, slide_mpp=0.25, only=only)
    assert report.state == "done"
    assert (few / "small.geojson").read_bytes() == before
    assert (few / "small.preview.jpg").exists()
    assert SlideStore(few / "small.zarr").has_arrays == ("store" in only)


def test_a_store_that_is_there_stays(tmp_path: Path, small_slide: Path, model_file: Path) -> None:
    for only in (OUTPUT_KINDS, FEW):
        (report,) = predicted(small_slide, tmp_path, model_file, slide_mpp=0.25, only=only)
    assert report.state == "skipped"
    assert open_finished(tmp_path / "small.zarr").has_arrays
    assert finished_slides(tmp_path) == [Outputs(tmp_path, "small")]


def test_one_table_for_all_slides(
    tmp_path: Path, small_slide: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.tif"
    other.write_bytes(small_slide.read_bytes() + b"\0")
    out = tmp_path / "out"
    only = ("parquet",)
    wsiseg.predict(small_slide, out, model_file, slide_mpp=0.25, only=only)
    reports = wsiseg.predict([small_slide, other], out, model_file, slide_mpp=0.25, only=only, one_table=True)
    assert [report.state for report in reports] == ["skipped", "done"]
    assert not {"small.parquet", "other.parquet"} & files(out)
    table = wsiseg.read_nuclei(out)
    assert table.groupby("slide", observed=True).size().to_dict() == {
        report.name: report.nuclei for report in reports
    }
    assert list(wsiseg.read_nuclei(out, ["area_um2"]).columns) == ["slide", "area_um2"]
    monkeypatch.setattr(pipeline, "compute_block", None)
    again = wsiseg.predict([small_slide, other], out, model_file, slide_mpp=0.25, only=only, one_table=True)
    assert [report.state for report in again] == ["skipped", "skipped"]
    assert pq.read_table(out / "nuclei.parquet").num_rows == len(table)


def test_outputs_are_named_in_words() -> None:
    assert output_kinds("parquet, geojson") == ("geojson", "parquet")
    assert output_kinds(["store", "report"]) == ("store", "report")
    for wrong in ("", "zarr", "geojson,png"):
        with pytest.raises(UsageError, match="choose from store, geojson, parquet, preview, report"):
            output_kinds(wrong)
    with pytest.raises(UsageError, match="made from the store"):
        output_kinds("geojson,report")


def test_a_common_table_needs_tables_and_a_folder(
    tmp_path: Path, small_slide: Path, model_file: Path
) -> None:
    with pytest.raises(UsageError, match="add parquet to --only"):
        wsiseg.predict(small_slide, tmp_path, model_file, slide_mpp=0.25, only="geojson", one_table=True)
    with pytest.raises(UsageError, match="needs a folder"):
        wsiseg.predict(small_slide, "s3://bucket/out", model_file, slide_mpp=0.25, one_table=True)
    named = tmp_path / "nuclei.tif"
    named.write_bytes(small_slide.read_bytes())
    with pytest.raises(UsageError, match=r"its table would be nuclei\.parquet"):
        wsiseg.predict(named, tmp_path / "out", model_file, slide_mpp=0.25, one_table=True)
