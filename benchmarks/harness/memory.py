"""Peak resident memory of a command and all processes that it starts."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

LOOK_EVERY_S = 0.25


@dataclass(frozen=True)
class Measured:
    """What a command took: its exit code, seconds, and the most bytes that were resident at once."""

    returncode: int
    seconds: float
    peak_bytes: int

    @property
    def peak_mb(self) -> float:
        """The peak in units of 10^6 bytes."""
        return self.peak_bytes / 1e6


def measured(command: Sequence[object], **options: object) -> Measured:
    """Run a command to its end and watch its process tree.

    The peak of each process is the kernel's own (VmHWM, no sample can miss it but for the last tenth of a
    second); over several processes the peaks are added up, which is at least what they held at once.
    """
    started = time.perf_counter()
    process = subprocess.Popen([*map(str, command)], **options)  # type: ignore[call-overload]
    peak = 0
    while process.poll() is None:
        peak = max(peak, _peaks_of_tree(process.pid))
        time.sleep(LOOK_EVERY_S)
    return Measured(process.returncode, time.perf_counter() - started, peak)


def _peaks_of_tree(pid: int) -> int:
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    return sum(_peak(process.pid) for process in tree)


def _peak(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:")), 0)
    except OSError:
        return 0
