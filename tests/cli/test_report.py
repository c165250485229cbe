"""`wsiseg report`: which report it makes, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_line import Command

from wsiseg.cli.main import cli

pytestmark = pytest.mark.slow


def test_a_report_of_predict_is_made_again(
    tmp_path: Path, small_slide: Path, model_file: Path, command: Command
) -> None:
    out = tmp_path / 'o\'u "t" ü'
    done = command("predict", small_slide, "-o", out, "-m", model_file, "--slide-mpp", 0.25)
    assert done.returncode == 0, done.stderr
    assert str(out / "index.html") in done.stdout
    page = out / "report" / "small" / "index.html"
    page.unlink()
    again = CliRunner().invoke(cli, ["report", str(out)])
    assert again.exit_code == 0, again.output
    assert again.output == f"see {out / 'index.html'}\n"
    assert page.is_file()


def test_a_report_that_is_not_there_is_not_pointed_to(
    tmp_path: Path, small_slide: Path, model_file: Path, command: Command
) -> None:
    (tmp_path / "index.html").mkdir()
    done = command("predict", small_slide, "-o", tmp_path, "-m", model_file, "--slide-mpp", 0.25)
    assert done.returncode == 1
    assert done.stdout == "1 of 1 slides done\n"
    assert "Warning: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_page_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.zarr").mkdir()
    done = CliRunner().invoke(cli, ["report", str(tmp_path)])
    assert done.exit_code == 1
    assert "Without a page:\n  broken: " in done.output
    assert (tmp_path / "index.html").is_file()


def test_a_folder_of_something_else_is_a_usage_error(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["report", str(tmp_path)])
    assert done.exit_code == 2
    assert f"{tmp_path}: no run of `wsiseg predict` or `wsiseg fit` there" in done.output


@pytest.mark.parametrize("described", ["not json", "[]", json.dumps({"command": "fit", "format": 99})])
def test_a_run_that_cannot_be_read_is_said(tmp_path: Path, described: str) -> None:
    (tmp_path / "run.json").write_text(described)
    done = CliRunner().invoke(cli, ["report", str(tmp_path)])
    assert done.exit_code == (1 if "format" in described else 0), done.output
    assert "Traceback" not in done.output
