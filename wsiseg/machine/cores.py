"""How many CPU cores there are for us, and how we behave on them."""

from __future__ import annotations

import math
import os

from wsiseg.machine.cgroups import cpu_limit


def available_cores() -> int:
    """Return the CPU cores that this process may use, which a container or a batch system may limit."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, math.ceil(cpu_limit() or cores)))


def wait_asleep() -> None:
    """Have torch's threads sleep while they wait for each other, unless the environment says otherwise.

    By default they spin: beside a busy process a training step on two cores then takes four times as long.
    Has to be called before torch is imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
