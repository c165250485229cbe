"""How many CPU cores there are for us."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Return the CPU cores that this process may use, which a container or a batch system may limit."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
