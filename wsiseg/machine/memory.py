"""How much memory this process may use."""

from __future__ import annotations

import os
from pathlib import Path

from wsiseg.machine.cgroups import memory_limit


def installed_bytes() -> int | None:
    """Return the memory of the machine; None if unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def unused_bytes() -> int | None:
    """Return the memory that no process uses; None if unknown."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def room_bytes() -> int | None:
    """Return what this process may allocate: the unused memory, or its container's limit if that is less."""
    known = [size for size in (unused_bytes() or installed_bytes(), memory_limit()) if size is not None]
    return min(known, default=None)
