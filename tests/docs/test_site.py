"""The site is complete: every command and every public function has its place, every page is reached."""

from __future__ import annotations

import re

import pytest
from pages import ROOT, pages

import wsiseg
from wsiseg.cli.main import COMMANDS

pytestmark = pytest.mark.slow

DOCS = ROOT / "docs"


def test_every_command_is_in_the_reference() -> None:
    text = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    assert re.findall(r":prog: wsiseg (\w+)", text) == list(COMMANDS)


def test_every_public_name_is_in_the_reference() -> None:
    text = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    assert [name for name in wsiseg.__all__ if f"wsiseg.{name}\n" not in text and name != "__version__"] == []


def test_every_page_is_in_a_table_of_contents() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8").splitlines()
    listed = {line.strip() for line in index}
    there = {path.relative_to(DOCS).with_suffix("").as_posix() for path in pages() if DOCS in path.parents}
    assert there - listed == {"index"}


def test_every_picture_of_a_page_is_there() -> None:
    for page in pages():
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).is_file(), f"{page}: {target}"


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in [*pages(), ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)#]+\.(?:md|cff))", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).is_file(), f"{page}: {target}"
