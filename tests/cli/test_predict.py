"""`wsiseg predict` as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Command


@pytest.mark.slow
def test_a_batch_from_the_shell(
    tmp_path: Path, small_slide: Path, model_file: Path, command: Command
) -> None:
    """Good and bad slides, options with underscores, plain lines, nothing written but the outputs."""
    slides = tmp_path / "slides"
    slides.mkdir()
    (slides / "good.png").write_bytes(small_slide.read_bytes())
    (slides / "bad.svs").write_text("not a slide")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    work = tmp_path / "work"
    work.mkdir()
    done = command(
        "predict",
        slides,
        "-o",
        tmp_path / "out",
        "-m",
        model_file,
        "--slide_mpp",
        0.25,
        "--tile_size",
        300,
        cwd=work,
    )
    assert done.returncode == 1, done.stderr
    assert "1 of 2 slides done" in done.stdout
    assert f"{slides / 'bad.svs'}: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "good: " in done.stderr
    assert not list(work.iterdir())
    assert {path: path.stat().st_mtime_ns for path in before} == before
    left = {path.name for path in (tmp_path / "out").iterdir()}
    files = {"good.zarr", "good.geojson", "good.parquet", "good.preview.jpg", "summary.csv", "run.json"}
    assert left == files | {"index.html", "report", "wsiseg.log"}

    again = command("export", tmp_path / "out" / "good.zarr", "-o", tmp_path / "again", "--gzip")
    assert again.returncode == 0, again.stderr
    assert str(tmp_path / "again" / "good.geojson.gz") in again.stdout


@pytest.mark.slow
def test_quiet_says_nothing_but_errors(
    tmp_path: Path, small_slide: Path, model_file: Path, command: Command
) -> None:
    done = command("predict", small_slide, "-o", tmp_path, "-m", model_file, "--slide-mpp", 0.25, "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = command("predict", small_slide, "-o", tmp_path / "other", "-m", model_file, "-q")
    assert done.returncode == 1
    assert "--slide-mpp" in done.stderr
