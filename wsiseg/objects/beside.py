"""Files that are complete or not there: written beside their place and renamed at the end."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import IO

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


def flush(file: IO[bytes]) -> None:
    """Wait until what was written to a file is on the disk, where the file system can tell."""
    try:
        os.fsync(file.fileno())
    except OSError as error:  # some network file systems refuse; a full disk must be heard of
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
