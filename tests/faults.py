"""Faults of the machine, made on purpose: a full disk, a user without rights."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size_kib: int) -> Iterator[None]:
    """Put a disk of a size in place of a folder; skip the test where that is not permitted."""
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", folder)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def resize(folder: Path, size_kib: int) -> None:
    """Give a small disk another size."""
    _mount("-o", f"remount,size={size_kib}k", folder)


def _mount(*arguments: object) -> None:
    if shutil.which("mount") is None:
        pytest.skip("no program to mount a small disk with")
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted: {done.stderr.strip()}")


def without_rights() -> list[str]:
    """Return what to put before a command so that permissions count: for root they do not."""
    if os.geteuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root, and no setpriv to give up its rights with")
    dropped = "-dac_override,-dac_read_search,-fowner"
    return ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}"]
