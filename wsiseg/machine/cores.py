"""How many CPU cores this process may use, and how torch's threads wait on them."""

from __future__ import annotations

import math
import os

from wsiseg.machine.cgroups import cpu_limit


def available_cores() -> int:
    """Return how many CPU cores this process may use, within the limits of a container or batch job."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, math.ceil(cpu_limit() or cores)))


def wait_asleep() -> None:
    """Let torch's threads sleep while they wait for each other, unless the environment says otherwise.

    By default they spin, which makes a training step on two cores take four times as long beside a busy
    process. Must be called before torch is imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
