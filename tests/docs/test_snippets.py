"""Every command and every piece of Python in README and docs is run, page by page, on generated slides."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pages import COMMANDS, PYTHON, ROOT, SHORT_FIT, SHOWN, Block, blocks, pages

from wsiseg.cli.main import cli

pytestmark = pytest.mark.slow

# Pages that begin with nothing computed.
FROM_NOTHING = {"README.md", "first-slide.md"}


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _is_runnable(block: Block) -> bool:
    return block.language in COMMANDS | PYTHON


def _to_run(page: Path) -> list[Block]:
    return [block for block in blocks(page) if _is_runnable(block) and not block.not_run]


@pytest.mark.parametrize("page", [page for page in pages() if _to_run(page)], ids=_name)
def test_page(
    page: Path,
    bare_world: Path,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = bare_world if page.name in FROM_NOTHING else request.getfixturevalue("world")
    shutil.copytree(start, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    names: dict[str, Any] = {"__name__": "page"}
    for block in _to_run(page):
        where = f"{_name(page)}:{block.line}"
        if block.language in PYTHON:
            exec(compile("\n" * (block.line - 1) + block.code, _name(page), "exec"), names)
        else:
            for line in block.code.replace("\\\n", " ").splitlines():
                _run(line, where)


def _run(line: str, where: str) -> None:
    words = shlex.split(line, comments=True)
    if not words:
        return
    assert words[0] == "wsiseg", f"{where}: {words[0]} is not run here; say why: <!-- not run: why -->"
    arguments = words[1:]
    if arguments[0] == "fit" and "--select" not in arguments:
        arguments += SHORT_FIT
    done = CliRunner().invoke(cli, arguments)
    promised = re.search(r"# .*exit code (\d+)", line)
    expected = int(promised[1]) if promised else 0
    assert done.exit_code == expected, f"{where}: {shlex.join(words)}\n{done.output}"


def test_no_block_is_dropped() -> None:
    """Every fence is read, and is run, shown or excused with a reason."""
    counts = {"run": 0, "not run": 0, "shown": 0}
    for page in pages():
        text, found = page.read_text(encoding="utf-8"), blocks(page)
        assert 2 * len(found) == len(re.findall(r"^ *(?:`{3,}|~{3,})", text, re.MULTILINE)), _name(page)
        excused = [block for block in found if block.not_run]
        assert len(re.findall("<!-- (?:not run|ci):", text)) == len(excused), _name(page)
        for block in found:
            assert _is_runnable(block) or block.is_directive or block.language in SHOWN, (
                f"{_name(page)}:{block.line}: {block.language!r} is neither run nor shown"
            )
            kind = "shown" if not _is_runnable(block) else "not run" if block.not_run else "run"
            counts[kind] += 1
    assert counts["run"] > 2 * counts["not run"], counts


def test_a_command_that_fails_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match=r"page.md:1: wsiseg info none.svs"):
        _run("wsiseg info none.svs", "page.md:1")
    _run("wsiseg info none.svs   # there is none: exit code 2", "page.md:1")
    with pytest.raises(AssertionError, match="say why"):
        _run("docker build", "page.md:1")
    page = tmp_path / "page.md"
    page.write_text("<!-- not run: no -->\n```bash\na\n```\ntext\n```python\nb\n```\n")
    first, second = blocks(page)
    assert (first.not_run, second.not_run, second.code, second.line) == ("no", "", "b", 7)
