"""Files that are whole or absent: written beside their place, flushed to the disk, and renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import uuid4

STREAMED = ".partial"
"""Ending of files being streamed by the only writer of their place (see `wsiseg.machine.locks`)."""


@contextmanager
def put_whole(target: Path) -> Iterator[Path]:
    """Give a path beside `target` to write to; it replaces the target, or is deleted after an exception.

    Its name is unique: runs on several hosts, where process numbers repeat, may share a folder.
    """
    part = target.with_name(f".{target.name}.{uuid4().hex[:12]}.part")
    try:
        yield part
        with part.open("rb") as file:
            flush(file)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def beside(path: Path) -> Path:
    """Return the hidden name that a file is streamed to; leftovers of a killed run are overwritten."""
    return path.with_name(f".{path.name}.wsiseg{STREAMED}")


def settle(path: Path) -> None:
    """Give the streamed file its name, after its bytes are on the disk."""
    with beside(path).open("rb") as file:
        flush(file)
    beside(path).replace(path)


def write_whole(target: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with put_whole(target) as part:
        part.write_bytes(data)


def flush(file: IO[bytes]) -> None:
    """Wait until the bytes of a file are on the disk, where the file system supports that."""
    try:
        os.fsync(file.fileno())
    except OSError as error:  # some network file systems refuse; a full disk must raise
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
