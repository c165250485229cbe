"""Limits of containers and batch systems, as both versions of cgroups write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsiseg.machine import cores
from wsiseg.machine.cgroups import cpu_limit, memory_limit


def _machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("files", "cpus", "memory"),
    [
        ({}, None, None),
        ({"proc/self/cgroup": "0::/job"}, None, None),
        (
            {
                "proc/self/cgroup": "0::/jobs/7",
                "sys/fs/cgroup/jobs/cpu.max": "150000 100000",
                "sys/fs/cgroup/jobs/7/cpu.max": "max 100000",
                "sys/fs/cgroup/jobs/memory.max": "2000000000",
                "sys/fs/cgroup/jobs/7/memory.max": "3000000000",
            },
            1.5,
            2_000_000_000,
        ),
        (
            {
                "proc/self/cgroup": "0::/",
                "sys/fs/cgroup/cpu.max": "400000 100000",
                "sys/fs/cgroup/memory.max": "max",
            },
            4.0,
            None,
        ),
        (
            {
                "proc/self/cgroup": "5:memory:/docker/a1\n3:cpu,cpuacct:/docker/a1",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000000",
            },
            0.5,
            1_000_000_000,
        ),
        (
            {
                "proc/self/cgroup": "5:memory:/\n3:cpu,cpuacct:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            },
            None,
            None,
        ),
        ({"proc/self/cgroup": "nonsense\n::\n", "sys/fs/cgroup/cpu.max": "a b c"}, None, None),
    ],
)
def test_limits(tmp_path: Path, files: dict[str, str], cpus: float | None, memory: int | None) -> None:
    root = _machine(tmp_path, files)
    assert cpu_limit(root) == cpus
    assert memory_limit(root) == memory


@pytest.mark.parametrize(("limit", "expected"), [(None, 8), (0.5, 1), (2.5, 3), (16.0, 8)])
def test_cores_are_limited(monkeypatch: pytest.MonkeyPatch, limit: float | None, expected: int) -> None:
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "cpu_limit", lambda: limit)
    assert cores.available_cores() == expected
