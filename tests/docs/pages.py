"""The code blocks of README and docs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMANDS, PYTHON = {"", "bash", "sh", "console"}, {"python"}
# Outputs, files and lists of pages: nothing that one could run.
SHOWN = {"text", "json", "csv", "yaml", "bibtex", "groovy"}
# A whole training takes minutes; the pages' commands are run with these behind them.
SHORT_FIT = ("--repeats", "1", "--epochs", "1", "--threads", "1")
# `<!-- not run: why -->` above a block; `<!-- ci: name -->`, which .ci/run executes word for word.
_MARK = re.compile(r"<!-- (not run|ci): (.+?) -->$")
_FENCE = re.compile(r"^( *)(`{3,}|~{3,})(.*)$")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page.

    Parameters
    ----------
    page : Path
    line : int
        Of its first line of code, from 1.
    language : str
    code : str
    not_run : str
        Why it is not run; empty if it is.
    """

    page: Path
    line: int
    language: str
    code: str
    not_run: str

    @property
    def is_directive(self) -> bool:
        """Whether it is one of Sphinx's, such as a table of contents."""
        return self.language.startswith("{")


def pages() -> list[Path]:
    """Return README and all pages."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in their order."""
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    number, mark = 0, ""
    while number < len(lines):
        text = lines[number]
        marked, fence = _MARK.search(text), _FENCE.match(text)
        if fence:
            indent, ticks, language = fence.groups()
            end = next(i for i in range(number + 1, len(lines)) if lines[i].strip() == ticks)
            code = "\n".join(line.removeprefix(indent) for line in lines[number + 1 : end])
            found.append(Block(page, number + 2, language.strip().partition(" ")[0], code, mark))
            number, mark = end, ""
        elif marked:
            mark = marked[2] if marked[1] == "not run" else ".ci/run executes it, word for word"
        elif text.strip():
            mark = ""
        number += 1
    return found
