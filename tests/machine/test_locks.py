"""Two runs on one folder: each slide is done by one of them, and a dead owner keeps nothing."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from outputs import digests, predicted

from wsiseg.machine import locks
from wsiseg.machine.locks import STALE_S, BusyError, held_lock


def test_a_lock_is_held_by_one_and_gone_afterwards(tmp_path: Path) -> None:
    lock = tmp_path / ".slide.lock"
    with held_lock(lock):
        found = json.loads(lock.read_text())
        assert (found["host"], found["pid"]) == (socket.gethostname(), os.getpid())
        with pytest.raises(BusyError, match=str(os.getpid())), held_lock(lock):
            pass
        assert lock.exists()
    assert not list(tmp_path.iterdir())


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


def described(**changes: object) -> str:
    """Return what a lock of this very process would hold, with changes."""
    mine = locks.Owner(
        socket.gethostname(), locks.machine_here(), os.getpid(), locks.process_start(os.getpid()), "", "t"
    )
    return json.dumps(asdict(mine) | changes)


@pytest.mark.parametrize(
    ("changes", "busy"),
    [
        ({}, True),
        ({"pid": 2**22 + 1}, False),
        # a later process has the number: a container that was started again, a machine after a while
        ({"started": "1"}, False),
        # another boot, or another space of process numbers under the same host name
        ({"machine": "another", "pid": 2**22 + 1}, True),
        ({"host": "another", "machine": "another"}, True),
    ],
)
def test_who_is_dead_at_once(tmp_path: Path, changes: dict[str, object], busy: bool) -> None:
    lock = tmp_path / ".slide.lock"
    lock.write_text(described(**changes))
    if busy:
        with pytest.raises(BusyError), held_lock(lock):
            pass
        assert lock.read_text() == described(**changes)
    else:
        with held_lock(lock):
            pass
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", [described(host="another", machine="another"), "", '{"pid": "x"}'])
def test_another_host_keeps_it_while_it_touches_it(tmp_path: Path, text: str) -> None:
    lock = tmp_path / ".slide.lock"
    lock.write_text(text)
    with pytest.raises(BusyError), held_lock(lock):
        pass
    long_ago = lock.stat().st_mtime - STALE_S - 5
    os.utime(lock, (long_ago, long_ago))
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


def test_two_runs_at_once_share_the_slides(tmp_path: Path, small_slide: Path, model_file: Path) -> None:
    slides = [tmp_path / "a.png", tmp_path / "b.png"]
    for slide in slides:
        slide.write_bytes(small_slide.read_bytes())
    alone = predicted(slides, tmp_path / "alone", model_file, slide_mpp=0.25)
    found: dict[int, list[str]] = {}

    def run(number: int) -> None:
        reports = predicted(slides, tmp_path / "shared", model_file, slide_mpp=0.25)
        found[number] = [report.state for report in reports]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(report.state == "done" for report in alone)
    for states in zip(found[0], found[1], strict=True):
        assert states.count("done") == 1
        assert set(states) <= {"done", "skipped", "elsewhere"}
    for name in ("a", "b"):
        assert digests(tmp_path / "shared", name) == digests(tmp_path / "alone", name)
    assert not list((tmp_path / "shared").glob(".*"))
