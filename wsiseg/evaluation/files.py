"""Writing results whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from wsiseg.errors import StoreError


def write_text(path: Path, text: str) -> None:
    """Write a text file beside its place and rename it, so that it is whole or absent."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)
