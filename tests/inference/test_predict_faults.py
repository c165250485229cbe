"""What the machine does to a run: a slide says what ended it, the others are done, nothing looks complete."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import command_environment
from faults import resize, small_disk, without_rights
from outputs import digests, predicted, summary

from wsiseg.inference import pipeline
from wsiseg.inference.observer import PredictObserver
from wsiseg.store.slide_store import SlideStore

pytestmark = pytest.mark.slow

AMPLE_KIB = 64 << 10


class Heard(PredictObserver):
    """Keeps warnings, and does something at a phase."""

    def __init__(self, phase: str = "", act: Any = None) -> None:
        self.warnings: list[str] = []
        self.at, self.act = phase, act

    def warned(self, text: str) -> None:
        self.warnings.append(text)

    def phase(self, name: str) -> None:
        if name == self.at:
            self.act()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, small_slide: Path, model_file: Path) -> dict[str, str]:
    out = tmp_path_factory.mktemp("whole")
    predicted(small_slide, out, model_file, slide_mpp=0.25, tile_px=200)
    return digests(out, "small")


def nothing_looks_complete(out: Path, whole: dict[str, str]) -> None:
    """What has its final name is as it should be; nothing half-written has one."""
    hashes = digests(out, "small") if (out / "small.zarr").exists() else {}
    if hashes:
        assert hashes == whole
        assert SlideStore(out / "small.zarr").provenance["state"] == "complete"
    for file in out.glob("small.*"):
        if file.suffix in (".geojson", ".parquet"):
            assert whole[file.name]
            assert file.stat().st_size > 0
    left = [path.name for path in out.rglob("*") if path.name.endswith(".part")]
    assert not left


def test_a_disk_that_fills_at_any_stage(
    tmp_path: Path, small_slide: Path, model_file: Path, whole: dict[str, str]
) -> None:
    """A real one, from too small for the first array to one page short of enough."""
    said = []
    for size_kib in (4, 100, 180, 260, 300, 320, 340, 360, 400):
        disk = tmp_path / f"disk-{size_kib}"
        with small_disk(disk, size_kib):
            heard = Heard()
            (report,) = predicted(small_slide, disk, model_file, slide_mpp=0.25, tile_px=200, observer=heard)
            said.append((size_kib, report.state, report.cause, heard.warnings))
            assert report.state in ("done", "failed")
            if report.state == "failed":
                assert "No space left on device" in report.cause
            nothing_looks_complete(disk, whole)
            resize(disk, AMPLE_KIB)
            heard = Heard()
            (report,) = predicted(small_slide, disk, model_file, slide_mpp=0.25, tile_px=200, observer=heard)
            assert (report.state in ("done", "skipped"), heard.warnings) == (True, [])
            assert digests(disk, "small") == whole
            assert summary(disk)["small"]["state"] == report.state
            assert {path.name for path in disk.iterdir()} - {"wsiseg.log"} == {
                "run.json", "small.geojson", "small.parquet", "small.preview.jpg", "small.zarr",
                "summary.csv",
            }  # fmt: skip
    print(*said, sep="\n")
    assert {state for _, state, _, _ in said} == {"done", "failed"}


def test_a_summary_that_cannot_be_written_ends_no_batch(
    tmp_path: Path, small_slide: Path, model_file: Path
) -> None:
    (tmp_path / "summary.csv").mkdir()
    heard = Heard()
    (report,) = predicted(small_slide, tmp_path, model_file, slide_mpp=0.25, observer=heard)
    assert report.state == "done"
    assert len(heard.warnings) == 1
    assert "summary.csv: cannot be written" in heard.warnings[0]


@pytest.mark.parametrize("phase", ["writing polygons", "writing labels", "finishing"])
def test_a_folder_that_vanishes_fails_the_slide_and_not_the_next(
    tmp_path: Path, small_slide: Path, model_file: Path, phase: str
) -> None:
    slides, out = [tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "out"
    for slide in slides:
        slide.write_bytes(small_slide.read_bytes())
    once: list[Path] = [out]
    heard = Heard(phase, lambda: once and shutil.rmtree(once.pop()))
    first, second = predicted(slides, out, model_file, slide_mpp=0.25, observer=heard)
    assert (first.state, second.state) == ("failed", "done"), first.cause
    assert first.cause
    assert not (out / "a.zarr").exists()
    states = [report.state for report in predicted(slides, out, model_file, slide_mpp=0.25)]
    assert states == ["done", "skipped"]
    assert {row["state"] for row in summary(out).values()} == {"done", "skipped"}


def test_want_of_memory_fails_one_slide(
    tmp_path: Path, small_slide: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slides = [tmp_path / "a.png", tmp_path / "b.png"]
    for slide in slides:
        slide.write_bytes(small_slide.read_bytes())
    plain = pipeline._read

    def greedy(view: Any, window: Any) -> Any:
        if "a.png" in view.slide.path:
            raise MemoryError
        return plain(view, window)

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "_read", greedy)
        first, second = predicted(slides, tmp_path / "out", model_file, slide_mpp=0.25)
    assert (first.state, second.state) == ("failed", "done")
    assert "out of memory" in first.cause
    states = [report.state for report in predicted(slides, tmp_path / "out", model_file, slide_mpp=0.25)]
    assert states == ["done", "skipped"]


def test_what_may_not_be_written_or_read_is_said(tmp_path: Path, small_slide: Path, model_file: Path) -> None:
    slides, out = tmp_path / "slides", tmp_path / "out"
    slides.mkdir()
    for name in ("a", "b", "c"):
        (slides / f"{name}.png").write_bytes(small_slide.read_bytes())
    predicted(slides / "b.png", out, model_file, slide_mpp=0.25)
    (out / "b.zarr").rename(out / "b.zarr.unfinished")
    locked = [slides / "a.png", out / "b.zarr.unfinished" / "status" / "network"]
    for path in locked:
        path.chmod(0)
    arguments = ["predict", slides, "-o", out, "-m", model_file, "--slide-mpp", 0.25]
    done = run_without_rights(*arguments)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    states = {name: (row["state"], row["cause"].lower()) for name, row in summary(out).items()}
    assert {name: state for name, (state, _) in states.items()} == {"a": "failed", "b": "failed", "c": "done"}
    assert "permi" in states["a"][1]
    assert "permi" in states["b"][1]
    for path in locked:
        path.chmod(0o755)
    out.chmod(0o555)
    done = run_without_rights(*arguments)
    assert (done.returncode, "cannot be written" in done.stderr) == (1, True), done.stderr
    assert "Traceback" not in done.stderr


def run_without_rights(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*without_rights(), sys.executable, "-m", "wsiseg", *map(str, arguments)],
        env=command_environment(), text=True, capture_output=True, check=False, timeout=300,
    )  # fmt: skip


def test_other_formats_and_versions_are_refused_in_words(
    tmp_path: Path, small_slide: Path, model_file: Path
) -> None:
    predicted(small_slide, tmp_path, model_file, slide_mpp=0.25)
    root = tmp_path / "small.zarr" / "zarr.json"
    text = root.read_text()
    root.write_text(text.replace('"format": 1', '"format": 7'))
    (report,) = predicted(small_slide, tmp_path, model_file, slide_mpp=0.25)
    assert "in format 7" in report.cause
    assert "--overwrite" in report.cause
    os.rename(tmp_path / "small.zarr", tmp_path / "small.zarr.unfinished")
    root = tmp_path / "small.zarr.unfinished" / "zarr.json"
    root.write_text(text.replace('"complete"', '"unfinished"').replace('"wsiseg": "0', '"wsiseg": "9'))
    (report,) = predicted(small_slide, tmp_path, model_file, slide_mpp=0.25)
    assert "wsiseg: started with 9" in report.cause
