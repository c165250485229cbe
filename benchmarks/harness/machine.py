"""What a figure was measured on, and by which clock."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def machine() -> str:
    """Return the name of the processor and how many cores this process may use."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before"


@dataclass(frozen=True)
class Took:
    """Seconds on the wall and of processor time, children included."""

    wall_s: float
    cpu_s: float


def took(run: Callable[[], object]) -> Took:
    """Run something and return what it took."""
    wall, cpu = time.perf_counter(), _cpu()
    run()
    return Took(time.perf_counter() - wall, _cpu() - cpu)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
