"""Writing results whole or not at all."""

from __future__ import annotations

from pathlib import Path

from wsiseg.errors import StoreError
from wsiseg.machine.replacing import write_output


def write_text(path: Path, text: str) -> None:
    """Write a text file beside its place and rename it, so that it is whole or absent."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_output(path, text.encode())
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from error
