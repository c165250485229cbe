"""Files that are complete or not there: written beside their place and renamed at the end."""

from __future__ import annotations

from pathlib import Path

from wsiseg.whole import flush

SUFFIX = ".partial"
"""Ending of files that are being written."""


def beside(path: Path) -> Path:
    """Return where a file is written until it is complete."""
    return path.with_name(path.name + SUFFIX)


def settle(path: Path) -> None:
    """Give the complete file its name, after its bytes are on the disk."""
    with beside(path).open("rb") as file:
        flush(file)
    beside(path).replace(path)
