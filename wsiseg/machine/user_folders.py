"""Folders of the user that the environment names."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the user's folder for files that can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def work_folder() -> Path:
    """Return where slides whose outputs go to a bucket are worked on: WSISEG_WORK, or in the user's cache."""
    return Path(os.environ.get("WSISEG_WORK") or cache_folder() / "wsiseg").absolute()
