"""Two runs on one folder: each slide is done by one of them, and a dead owner keeps nothing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from outputs import digests, predicted

from wsiseg.inference.lock import STALE_S, SlideBusyError, slide_lock


def test_a_lock_is_held_by_one_and_gone_afterwards(tmp_path: Path) -> None:
    lock = tmp_path / ".slide.lock"
    with slide_lock(lock):
        assert json.loads(lock.read_text()) == {"host": socket.gethostname(), "pid": os.getpid()}
        with pytest.raises(SlideBusyError, match=str(os.getpid())), slide_lock(lock):
            pass
        assert lock.exists()
    assert not list(tmp_path.iterdir())


def test_a_killed_process_of_this_host_keeps_nothing(tmp_path: Path) -> None:
    lock = tmp_path / ".slide.lock"
    script = "import sys,time;from pathlib import Path;from wsiseg.inference.lock import slide_lock\n"
    script += f"with slide_lock(Path({str(lock)!r})): print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(SlideBusyError), slide_lock(lock):
            pass
        process.kill()
    with slide_lock(lock):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ['{"host": "another", "pid": 1}', "", '{"pid": "x"}'])
def test_another_host_keeps_it_while_it_touches_it(tmp_path: Path, text: str) -> None:
    lock = tmp_path / ".slide.lock"
    lock.write_text(text)
    with pytest.raises(SlideBusyError), slide_lock(lock):
        pass
    long_ago = lock.stat().st_mtime - STALE_S - 5
    os.utime(lock, (long_ago, long_ago))
    with slide_lock(lock):
        pass


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
