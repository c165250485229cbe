"""How much memory there is for us."""

from __future__ import annotations

import os
from pathlib import Path

from wsiseg.machine.cgroups import memory_limit


def installed_bytes() -> int | None:
    """Return the memory of the machine; None where that is not known."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def unused_bytes() -> int | None:
    """Return what no process of the machine uses; None where that is not known."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def room_bytes() -> int | None:
    """Return what this process may take: what is unused, or the limit of its container if that is less."""
    known = [size for size in (unused_bytes() or installed_bytes(), memory_limit()) if size is not None]
    return min(known, default=None)
