"""The table of first-day mistakes: every row is typed, and says what the table quotes."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from wsiseg.cli.main import cli

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "mistakes.md"


def _rows() -> list[tuple[str, str, bool]]:
    """Return what is typed, what is said, and whether that is a warning only."""
    cells = [
        line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if "| `wsiseg" in line
    ]
    return [(_code(typed), _code(said), said.startswith("a warning")) for typed, said, _ in cells]


def _code(cell: str) -> str:
    return re.findall("`(.+?)`", cell)[0]


def test_there_are_ten_or_more() -> None:
    assert len(_rows()) >= 10
    assert PAGE.read_text(encoding="utf-8").count("`wsiseg ") >= len(_rows())


@pytest.mark.parametrize(("typed", "said", "only_warned"), _rows(), ids=str)
def test_says_what_the_table_quotes(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, said: str, only_warned: bool
) -> None:
    import torch

    if "-d cuda" in typed and torch.cuda.is_available():
        pytest.skip("there is a GPU here, so nothing goes wrong")
    shutil.copytree(world, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    if "-m run" in typed:
        shutil.rmtree("run")
    done = CliRunner().invoke(cli, shlex.split(typed)[1:])
    assert done.exit_code in ((0,) if only_warned else (1, 2))
    assert said in " ".join(done.output.split())
    assert "Traceback" not in done.output
