"""Files that need no content, and the names of slides."""

from __future__ import annotations

from pathlib import Path

from wsiseg.slides.sources import SlideSource


def touch(folder: Path, *names: str) -> list[str]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return [str(p) for p in paths]


def names(sources: list[SlideSource]) -> list[str]:
    return [source.name for source in sources]
