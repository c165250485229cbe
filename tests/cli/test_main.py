"""The command line: what it says, to whom, and with which exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from command_line import command_environment

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
