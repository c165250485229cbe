"""CPU and memory limits of this process's container or batch job, from Linux cgroups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

# Version 1 writes a number near 2**63 where there is no limit.
_NO_LIMIT_BYTES = 1 << 60


def cpu_limit(root: Path = Path("/")) -> float | None:
    """Return how many cores' worth of CPU time this process may use; None if there is no limit.

    Parameters
    ----------
    root : Path
        Folder of `proc` and `sys`.
    """
    limits = []
    for folder in _folders(root, "cpu"):
        whole = _words(folder / "cpu.max")
        quota, period = whole if len(whole) == 2 else ("max", "1")
        if not whole:
            quota, period = (
                next(iter(_words(folder / f"cpu.cfs_{name}_us")), "") for name in ("quota", "period")
            )
        if quota.isdigit() and period.isdigit() and int(period):
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def memory_limit(root: Path = Path("/")) -> int | None:
    """Return how many bytes this process and its group may use; None if there is no limit."""
    limits = []
    for folder in _folders(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = next(iter(_words(folder / name)), "")
            if text.isdigit() and int(text) < _NO_LIMIT_BYTES:
                limits.append(int(text))
    return min(limits, default=None)


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's group and its parents, whose limits apply as well."""
    mounts = root / "sys" / "fs" / "cgroup"
    try:
        lines = (root / "proc" / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, inside = (*line.split(":", 2), "", "")[:3]
        if controllers and controller not in controllers.split(","):
            continue
        mount = mounts / controllers if controllers else mounts
        if controllers and not mount.is_dir():
            mount = mounts / controller
        group = PurePosixPath(inside.lstrip("/"))
        # In a container the path may be the host's and not exist here: its own limits are at the mount.
        yield from (mount / part for part in (group, *group.parents))


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
