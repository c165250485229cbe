"""Folders of the user that the environment names."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the user's folder for files that can be recreated."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def work_folder() -> Path:
    """Return the work folder of outputs in a bucket: WSISEG_WORK, or one in the user's cache."""
    return Path(os.environ.get("WSISEG_WORK") or cache_folder() / "wsiseg").absolute()
