"""The command line: what it says, to whom, and with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from command_line import Command, command_environment

import wsiseg
from wsiseg.cli.main import COMMANDS, cli

HEAVY = {
    "torch",
    "zarr",
    "numba",
    "cv2",
    "skimage",
    "matplotlib",
    "pandas",
    "dask",
    "numpy",
    "openslide",
    "scipy",
    "starlette",
    "uvicorn",
}


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = f"""
import sys
from wsiseg.cli.main import cli
try:
    cli(["--help"])
except SystemExit:
    pass
print(sorted({HEAVY!r} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=command_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(name in done.stdout for name in COMMANDS)


def test_the_package_itself_loads_nothing_heavy() -> None:
    code = f"import sys, wsiseg; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=command_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_first_help_has_a_command_a_line() -> None:
    said = CliRunner().invoke(cli, ["--help"]).output.splitlines()
    assert [line.split()[:2] for line in said if line.startswith("  wsiseg")] == [
        ["wsiseg", "predict"], ["wsiseg", "fit"], ["wsiseg", "predict"],
    ]  # fmt: skip
    assert "\\b" not in "".join(said)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_help_of_each_command_shows_defaults(name: str) -> None:
    done = CliRunner().invoke(cli, [name, "--help"])
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for option in command.params:
        is_valued = isinstance(option, click.Option) and not (option.is_flag or option.count)
        if is_valued and isinstance(option.default, int | float | str):
            assert f"[default: {option.default}" in said, option.name


def test_help_of_predict_names_what_is_needed_most() -> None:
    said = " ".join(CliRunner().invoke(cli, ["predict", "--help"]).output.split())
    for text in ("SLIDES", "[default: 2048", "[default: the model's]", "--slide-mpp", "--scheduler"):
        assert text in said


def test_version() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output.strip().endswith(wsiseg.__version__)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predict", "--nonsense"], "No such option"),
        (["nonsense"], "No such command"),
        (["predict"], "Missing argument"),
        (["predict", "a.svs"], "--output-dir"),
        (["predict", "no-such.svs", "-o", "out"], "no-such.svs: there is no such file"),
        (["predict", ".", "-o", "out"], "no slides there"),
        (["predict", "a.svs", "-o", "out", "--tile-size", "10"], "--tile-size"),
        (["predict", "a.svs", "-o", "out", "--threshold", "1"], "--threshold"),
        (["predict", "a.png", "-o", "out", "--device", "tpu"], "tpu"),
        (["info", "no-such.svs"], "no-such.svs"),
    ],
)
def test_usage_errors_end_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if "a.png" in arguments:
        (tmp_path / "a.png").touch()
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2, done.output
    assert said in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predict", "a.png", "-o", "out", "-m", "none.safetensors"], "no such model file"),
        (["predict", "a.png", "-o", "a.png/out"], "a.png/out"),
        (["export", "none.zarr"], "no such store"),
    ],
)
def test_what_cannot_be_done_ends_with_1_and_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_file: Path, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").touch()
    extra = ["-m", str(model_file)] if arguments[0] == "predict" and "-m" not in arguments else []
    done = CliRunner().invoke(cli, [*arguments, *extra])
    assert done.exit_code == 1, done.output
    assert said in done.output
    assert done.output.startswith("Error: ")
    assert "Traceback" not in done.output


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


def test_quiet_says_nothing_but_errors(
    tmp_path: Path, small_slide: Path, model_file: Path, command: Command
) -> None:
    done = command("predict", small_slide, "-o", tmp_path, "-m", model_file, "--slide-mpp", 0.25, "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = command("predict", small_slide, "-o", tmp_path / "other", "-m", model_file, "-q")
    assert done.returncode == 1
    assert "--slide-mpp" in done.stderr


@pytest.mark.parametrize("no_color", [None, "1"])
def test_a_terminal_gets_a_bar_and_no_color_is_heeded(
    tmp_path: Path, small_slide: Path, model_file: Path, no_color: str | None
) -> None:
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    environment = (
        command_environment() | {"TERM": "xterm-256color"} | ({"NO_COLOR": no_color} if no_color else {})
    )
    arguments = ["predict", small_slide, "-o", tmp_path, "-m", model_file, "--slide-mpp", 0.25]
    process = subprocess.Popen(
        [sys.executable, "-m", "wsiseg", *map(str, arguments)],
        env=environment, stdin=follower, stdout=follower, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:  # the last writer closed the terminal
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    assert process.wait() == 0, shown.decode()
    assert b"MP/s" in shown
    assert "━".encode() in shown
    assert (b"\x1b[3" in shown) is (no_color is None)  # colours are escape sequences that begin so


def test_info_says_what_predict_would_do(
    svs_slide: Path, small_slide: Path, model_file: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.svs"
    bad.write_text("not a slide")
    done = CliRunner().invoke(
        cli, ["info", str(svs_slide), str(small_slide), str(bad), "-m", str(model_file), "--json"]
    )
    assert done.exit_code == 1, done.output
    slide, picture, broken = json.loads(done.stdout)
    assert (slide["reader"], slide["width_l0"], slide["height_l0"], slide["mpp"]) == (
        "openslide",
        1500,
        1180,
        0.25,
    )
    assert slide["levels"] == [[1500, 1180, 1.0], [375, 295, 4.0]]
    assert 0.2 < slide["tissue_share"] < 0.9
    assert 0 < slide["megapixels"] <= 1.77
    assert slide["seconds"] > 0
    assert slide["error"] is None
    assert "--slide-mpp" in picture["error"]
    assert picture["width_l0"] == 460
    assert "no reader" in broken["error"]


def test_info_in_words(svs_slide: Path, model_file: Path) -> None:
    done = CliRunner().invoke(cli, ["info", str(svs_slide), "-m", str(model_file)])
    assert done.exit_code == 0, done.output
    for text in ("1,500 x 1,180 px", "downsample 4", "0.2500 um per pixel", "mm2", "MP at 0.25 um per pixel"):
        assert text in done.output
