"""Many slides in one run: what is there already, what cannot be read, and what is said of each."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tifffile
from outputs import array, digests, features, predicted, summary
from PIL import Image

from wsiseg.config import ObjectsConfig
from wsiseg.errors import StoreError, UsageError
from wsiseg.inference import pipeline, prepare
from wsiseg.inference import slide as slide_module
from wsiseg.network.model import load_model, save_model
from wsiseg.store.slide_store import SlideStore
from wsiseg.store.states import Stage, State

pytestmark = pytest.mark.slow


@pytest.fixture
def done(tmp_path: Path, small_slide: Path, model_file: Path) -> Path:
    """A folder with one finished slide, `small`."""
    (report,) = predicted(small_slide, tmp_path / "out", model_file, slide_mpp=0.25)
    assert (report.state, report.nuclei > 20) == ("done", True)
    return tmp_path / "out"


def test_a_finished_slide_is_not_computed_again(
    done: Path, small_slide: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {file: file.stat().st_mtime_ns for file in done.rglob("*") if file.is_file()}
    monkeypatch.setattr(slide_module, "plan", None)
    (report,) = predicted(small_slide, done, model_file, slide_mpp=0.25, tile_px=300, workers=1)
    assert (report.state, report.is_whole, report.nuclei > 20) == ("skipped", True, True)
    changed = {file.name for file, time in times.items() if file.stat().st_mtime_ns != time}
    assert changed <= {"summary.csv", "run.json"}
    assert summary(done)["small"]["nuclei"] == str(report.nuclei)


@pytest.mark.parametrize("gone", ["small.geojson", "small.parquet", "small.preview.jpg"])
def test_a_file_that_is_gone_is_written_again_without_the_network(
    done: Path, small_slide: Path, model_file: Path, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digests(done, "small")
    (done / gone).unlink()
    monkeypatch.setattr(pipeline, "compute_block", None)
    (report,) = predicted(small_slide, done, model_file, slide_mpp=0.25, tile_px=100)
    assert report.state == "skipped"
    assert digests(done, "small") == before
    assert (done / gone).exists()
    assert sorted(path.name for path in done.iterdir()) == [
        "run.json", "small.geojson", "small.parquet", "small.preview.jpg", "small.zarr", "summary.csv",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"objects": ObjectsConfig(threshold=0.7)}, "objects.threshold: 0.5 there, 0.7 asked for"),
        ({"mpp": 0.5}, "frame.mpp: 0.25 there, 0.5 asked for"),
        ({"objects": ObjectsConfig(min_area_um2=60.0)}, "objects.min_area_um2"),
    ],
)
def test_other_settings_are_refused_and_nothing_is_touched(
    done: Path, small_slide: Path, model_file: Path, settings: dict[str, Any], named: str
) -> None:
    before = digests(done, "small")
    record = {name: (done / name).read_bytes() for name in ("summary.csv", "run.json")}
    (report,) = predicted(small_slide, done, model_file, slide_mpp=0.25, **settings)
    assert (report.state, report.is_whole) == ("kept", False)
    assert named in report.cause
    assert "--overwrite" in report.cause
    assert digests(done, "small") == before
    assert {name: (done / name).read_bytes() for name in record} == record
    assert f" kept {small_slide}: " in (done / "wsiseg.log").read_text()
    assert named in (done / "wsiseg.log").read_text()

    (report,) = predicted(small_slide, done, model_file, slide_mpp=0.25, overwrite=True, **settings)
    assert report.state == "done"
    assert digests(done, "small") != before


def test_another_model_is_refused(done: Path, small_slide: Path, model_file: Path, tmp_path: Path) -> None:
    model = load_model(model_file)
    save_model(tmp_path / "other.safetensors", model.network, dataclasses.replace(model.info, seed=1))
    (report,) = predicted(small_slide, done, tmp_path / "other.safetensors", slide_mpp=0.25)
    assert report.state == "kept"
    assert "another model" in report.cause


def test_other_pixels_at_the_same_path_are_refused(done: Path, small_slide: Path, model_file: Path) -> None:
    before, pixels = digests(done, "small"), small_slide.read_bytes()
    try:
        Image.fromarray(np.full((200, 300, 3), 200, np.uint8)).save(small_slide)
        (report,) = predicted(small_slide, done, model_file, slide_mpp=0.25)
    finally:
        small_slide.write_bytes(pixels)
    assert report.state == "kept"
    assert "another slide" in report.cause
    assert digests(done, "small") == before


def test_overwriting_leaves_no_file_of_other_settings(
    done: Path, small_slide: Path, model_file: Path
) -> None:
    predicted(small_slide, done, model_file, slide_mpp=0.25, overwrite=True, gzip=True, split=10)
    names = {path.name for path in done.iterdir()}
    assert "small.geojson" not in names
    assert "small.part01.geojson.gz" in names
    (report,) = predicted(small_slide, done, model_file, slide_mpp=0.25, gzip=True, split=10)
    assert report.state == "skipped"
    predicted(small_slide, done, model_file, slide_mpp=0.25, overwrite=True)
    assert not list(done.glob("small.part*"))


def test_bad_slides_are_named_and_good_ones_done(
    tmp_path: Path, small_slide: Path, svs_slide: Path, model_file: Path
) -> None:
    folder = tmp_path / "slides"
    folder.mkdir()
    (folder / "good.png").write_bytes(small_slide.read_bytes())
    (folder / "cut.svs").write_bytes(svs_slide.read_bytes()[:30_000])
    (folder / "empty.svs").touch()
    (folder / "text.svs").write_text("not a slide\n")
    pixels = np.asarray(Image.open(small_slide))
    tifffile.imwrite(folder / "plain.tif", pixels, tile=(128, 128), photometric="rgb")
    reports = {r.name: r for r in predicted(folder, tmp_path / "out", model_file, slide_mpp=0.25)}
    assert {name: report.state for name, report in reports.items()} == {
        "good": "done", "plain": "done", "cut": "failed", "empty": "failed", "text": "failed",
    }  # fmt: skip
    assert reports["good"].nuclei == reports["plain"].nuclei
    assert "empty" in reports["empty"].cause
    rows = summary(tmp_path / "out")
    assert {row["state"] for row in rows.values()} == {"done", "failed"}
    assert rows["cut"]["cause"] == reports["cut"].cause
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert not [name for name in left if name.startswith(("cut", "empty", "text", "."))]


def test_a_slide_without_resolution_is_refused_with_the_option_named(
    tmp_path: Path, small_slide: Path, model_file: Path
) -> None:
    (report,) = predicted(small_slide, tmp_path, model_file)
    assert report.state == "failed"
    assert "--slide-mpp" in report.cause


def with_a_damaged_tile(path: Path, target: Path, x: int, y: int) -> None:
    """Copy an SVS and fill the level-0 tile at a pixel with bytes that are no JPEG."""
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        across = -(-page.imagewidth // page.tilewidth)
        number = (y // page.tilelength) * across + x // page.tilewidth
        offset, size = page.dataoffsets[number], page.databytecounts[number]
    data[offset : offset + size] = b"\x55" * size
    target.write_bytes(data)


@pytest.mark.parametrize("reader", ["openslide", "tiffslide"])
def test_a_tile_that_cannot_be_decoded_stays_empty_and_is_named(
    tmp_path: Path, svs_slide: Path, model_file: Path, reader: str
) -> None:
    bad, out = tmp_path / "bad.svs", tmp_path / "out"
    with_a_damaged_tile(svs_slide, bad, 300, 300)
    (report,) = predicted(bad, out, model_file, reader=reader)
    predicted(svs_slide, tmp_path / "good", model_file)
    assert (report.state, report.failed_tiles, report.is_whole) == ("incomplete", 1, False)
    assert "cannot be decoded" in report.cause
    assert summary(out)["bad"]["failed_tiles"] == "1"

    store = SlideStore(out / "bad.zarr")
    assert store.states(Stage.NETWORK).at(0, 0) is State.FAILED
    assert [(f["row"], f["col"]) for f in store.provenance["failures"]] == [(0, 0)]
    confidence, whole = (
        array(folder, "0") for folder in (out / "bad.zarr", tmp_path / "good" / "slide.zarr")
    )
    assert not confidence[:1024, :1024].any()
    assert np.array_equal(confidence[1024:], whole[1024:])
    assert np.array_equal(confidence[:, 1024:], whole[:, 1024:])

    (again,) = predicted(bad, out, model_file, reader=reader)
    assert (again.state, again.is_whole, again.cause) == ("skipped", False, report.cause)


def test_a_failed_tile_is_remembered_by_the_run_that_resumes(
    tmp_path: Path, svs_slide: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = tmp_path / "bad.svs"
    with_a_damaged_tile(svs_slide, bad, 300, 300)
    with monkeypatch.context() as patched:
        patched.setattr(slide_module, "write_nuclei", interrupt)
        with pytest.raises(KeyboardInterrupt):
            predicted(bad, tmp_path / "out", model_file)
    (report,) = predicted(bad, tmp_path / "out", model_file)
    assert (report.state, report.failed_tiles) == ("incomplete", 1)
    assert "cannot be decoded" in report.cause


def interrupt(*_anything: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("module", "name"), [(prepare, "new_store"), (slide_module, "write_nuclei")])
def test_a_full_disk_fails_the_slide_in_words_and_the_next_run_finishes_it(
    tmp_path: Path,
    small_slide: Path,
    model_file: Path,
    module: ModuleType,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_anything: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(module, name, full)
        (report,) = predicted(small_slide, tmp_path, model_file, slide_mpp=0.25)
    assert report.state == "failed"
    assert "No space left on device" in report.cause
    assert not (tmp_path / "small.zarr").exists()
    (report,) = predicted(small_slide, tmp_path, model_file, slide_mpp=0.25)
    assert report.state == "done"


def test_an_output_folder_that_cannot_be_made_is_named(
    tmp_path: Path, small_slide: Path, model_file: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file/out"):
        predicted(small_slide, tmp_path / "file" / "out", model_file, slide_mpp=0.25)


def test_settings_that_no_slide_can_meet_are_refused_before_the_first(
    tmp_path: Path, small_slide: Path, model_file: Path
) -> None:
    for settings in ({"tile_px": 32}, {"workers": 0}, {"device": "tpu"}, {"device": "cuda:99"}):
        with pytest.raises(UsageError):
            predicted(small_slide, tmp_path / "out", model_file, slide_mpp=0.25, **settings)


def test_names_of_all_kinds_stay_inside_the_output_folder(
    tmp_path: Path, small_slide: Path, model_file: Path
) -> None:
    names = [
        "with space.png",
        'it\'s "quoted".png',
        "two\nlines.png",
        "-dash.png",
        "täglich.png",
        "run.png",
        "50%*[a].png",
    ]
    folder = tmp_path / "slides"
    for place, name in (("a", "same.png"), ("b", "same.png"), *((".", name) for name in names)):
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / name).write_bytes(small_slide.read_bytes())
    os.rename(folder / "run.png", os.fsencode(folder) + b"/\xff.png")
    slides = [folder, folder / "a", folder / "b"]
    reports = predicted(slides, tmp_path / "out", model_file, slide_mpp=0.25)
    assert [report.state for report in reports] == ["done"] * 9, [report.cause for report in reports]
    assert len({report.name for report in reports}) == 9
    assert sorted(summary(tmp_path / "out")) == sorted(report.name for report in reports)
    assert {path.name for path in tmp_path.iterdir()} == {"slides", "out"}
    assert len(list((tmp_path / "out").glob("*.zarr"))) == 9
    again = predicted(slides, tmp_path / "out", model_file, slide_mpp=0.25)
    assert {report.state for report in again} == {"skipped"}


def test_run_json_says_what_was_run(done: Path, model_file: Path) -> None:
    run = json.loads((done / "run.json").read_text())
    assert run["model"]["sha256"] == load_model(model_file).sha256
    assert run["config"]["tile_px"] == 2048
    assert {"wsiseg", "python", "numpy", "torch"} <= set(run["versions"])
    assert run["ended"] >= run["started"]
    (row,) = run["slides"]
    assert row["nuclei"] == len(features(done / "small.geojson"))
    assert {"read", "network", "objects", "describe", "write"} <= set(row["stage_seconds"])
