"""Files of the benchmarks: whole or absent, and replaced when a command is repeated."""

from __future__ import annotations

from pathlib import Path

from wsiseg.machine.whole import write_whole


def write_text(path: Path, text: str) -> None:
    """Write a text file beside its place and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode())
