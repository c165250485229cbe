"""Cores, memory and disk, using the standard library only."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from wsiseg.doctor.findings import Finding
from wsiseg.machine.cgroups import cpu_limit, memory_limit
from wsiseg.machine.cores import available_cores
from wsiseg.machine.memory import installed_bytes, unused_bytes

# Memory for `predict` and for each of its threads; two threads were measured at 1.2 to 1.6 GB on slides of
# 15,000 to 60,000 px (benchmarks/memory.py).
BASE_BYTES, WORKER_BYTES = 1_100_000_000, 250_000_000
LITTLE_DISK_BYTES = 2_000_000_000


def cores() -> Finding:
    """Return how many cores `predict` uses, and what limits them."""
    usable, present, limit = available_cores(), os.cpu_count() or 1, cpu_limit()
    says = f"{usable}" if usable == present else f"{usable} of {present}"
    if limit is not None and limit < present:
        says += f" (this container or job is limited to {limit:g})"
    return Finding("cores", "ok", says, facts={"usable": usable, "present": present, "limit": limit})


def memory() -> Finding:
    """Return the memory of the machine or of its container, and whether it is enough for all cores."""
    total, free = installed_bytes(), unused_bytes()
    limit = memory_limit()
    if limit is not None and (total is None or limit < total):
        total, free = limit, min(limit, free if free is not None else limit)
    facts = {"total_bytes": total, "available_bytes": free, "limit_bytes": limit}
    if total is None:
        return Finding("memory", "ok", "unknown on this system", facts=facts)
    says = _gigabytes(total) + (" (limit of this container or job)" if total == limit else "")
    if free is None:
        free = total
    else:
        says += f", {_gigabytes(free)} of it available"
    workers = available_cores()
    if free < BASE_BYTES + workers * WORKER_BYTES:
        fits = max(1, int((free - BASE_BYTES) // WORKER_BYTES))
        return Finding(
            "memory",
            "note",
            says,
            f"low for {workers} threads: use `-w {fits}` and `--tile-size 1024`",
            facts,
        )
    return Finding("memory", "ok", says, facts=facts)


def output(folder: Path) -> Finding:
    """Return whether a folder is writable, and its free space."""
    there = next((path for path in (folder, *folder.absolute().parents) if path.exists()), Path("/"))
    if not there.is_dir():
        return Finding("output", "bad", f"{folder}: {there} is a file", "choose another folder with -o")
    try:
        free = shutil.disk_usage(there).free
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"0")
    except OSError as error:
        says = f"{there} cannot be written: {error.strerror or error}"
        return Finding("output", "bad", says, "choose another folder with -o")
    facts = {"folder": str(folder), "free_bytes": free, "exists": folder.exists()}
    says = f"{folder}: {_gigabytes(free)} free" + ("" if folder.exists() else " (the folder will be created)")
    if free < LITTLE_DISK_BYTES:
        return Finding("output", "note", says, "low: free some space, or choose another disk with -o", facts)
    return Finding("output", "ok", says, facts=facts)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
