"""Lock files: one holder at a time on any file system, and killed holders leave nothing behind."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from wsiseg.machine.locks import BusyError, held_lock


def test_a_killed_process_of_this_host_keeps_nothing(tmp_path: Path) -> None:
    lock = tmp_path / ".slide.lock"
    script = "import sys,time;from pathlib import Path;from wsiseg.machine.locks import held_lock\n"
    script += f"with held_lock(Path({str(lock)!r})): print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(BusyError), held_lock(lock):
            pass
        process.kill()
    with held_lock(lock):
        pass
    assert not list(tmp_path.iterdir())


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_paths: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refused)
    with held_lock(tmp_path / ".lock"), pytest.raises(BusyError), held_lock(tmp_path / ".lock"):
        pass
    assert not list(tmp_path.iterdir())


def test_processes_that_are_killed_inside_are_never_there_together(tmp_path: Path) -> None:
    """Four at a time enter, and every tenth is killed inside; the next breaks its lock, and it alone."""
    context = multiprocessing.get_context("fork")
    running: list[Any] = []
    codes: list[int] = []
    for number in range(24):
        running.append(context.Process(target=enter_often, args=(tmp_path / ".lock", number)))
        running[-1].start()
        while len([process for process in running if process.is_alive()]) >= 4:
            time.sleep(0.002)
    for process in running:
        process.join(60)
        codes.append(process.exitcode)
    assert set(codes) <= {0, -signal.SIGKILL}, codes
    assert codes.count(-signal.SIGKILL) > 10


def enter_often(lock: Path, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(30):
        with held_lock(lock, wait_s=60):
            inside = lock.with_name("inside")
            # fails, and the process with it, if another is inside
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
            inside.unlink()
            if chance.random() < 0.1:
                os.kill(os.getpid(), signal.SIGKILL)
