"""Where compiled code is cached when neither the package's folder nor the home folder is writable."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from wsiseg.machine.user_folders import cache_folder


def keep_compiled_code() -> None:
    """Point numba to a private folder if it has no writable one: it refuses to start without a cache.

    Numba loads its cache as code, so a folder that others can write is never used.
    """
    package = Path(__file__).parents[1]
    home = cache_folder()
    if "NUMBA_CACHE_DIR" in os.environ or _writable(package) or _writable(home):
        return
    folder = Path(tempfile.gettempdir(), f"wsiseg-{os.getuid() if hasattr(os, 'getuid') else 'cache'}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        is_private = not folder.is_symlink() and not folder.stat().st_mode & 0o077
        is_mine = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
    except OSError:
        return
    os.environ["NUMBA_CACHE_DIR"] = str(folder) if is_private and is_mine else tempfile.mkdtemp()


def _writable(folder: Path) -> bool:
    """Whether files can be created in a folder, which may have to be created first."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
    return os.access(there, os.W_OK)
