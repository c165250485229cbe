"""How many CPU cores there are for us."""

from __future__ import annotations

import math
import os

from wsiseg.cgroups import cpu_limit


def available_cores() -> int:
    """Return the CPU cores that this process may use, which a container or a batch system may limit."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, math.ceil(cpu_limit() or cores)))
