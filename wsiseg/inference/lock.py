"""One run at a time on a slide: a lock that a dead owner, on this host or another, cannot keep."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from wsiseg.errors import WsisegError

# The owner touches its lock this often; a lock not touched for STALE_S is of a dead owner.
TOUCH_EVERY_S = 10.0
STALE_S = 90.0


class SlideBusyError(WsisegError):
    """Another run is working on the slide."""


@dataclass(frozen=True)
class Owner:
    """Who holds a lock."""

    host: str
    pid: int

    def is_dead(self, untouched_s: float) -> bool:
        """Whether the owner is gone: its process on this host, or its touch from anywhere."""
        if self.host == socket.gethostname() and not _runs(self.pid):
            return True
        return untouched_s > STALE_S


def _runs(pid: int) -> bool:
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def slide_lock(path: Path) -> Iterator[None]:
    """Hold a slide's lock file, kept alive by a thread.

    Parameters
    ----------
    path : Path
        The lock file; it is made here and removed at the end.

    Raises
    ------
    SlideBusyError
        If a living owner holds it.
    """
    _acquire(path)
    stop = threading.Event()
    keeper = threading.Thread(target=_keep, args=(path, stop), name="wsiseg-lock", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.join()
        path.unlink(missing_ok=True)


def _acquire(path: Path) -> None:
    mine = json.dumps({"host": socket.gethostname(), "pid": os.getpid()})
    while True:
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(mine)
            return
        except FileExistsError:
            pass
        found = _read(path)
        if found is None:
            continue
        text, owner, untouched_s = found
        if not owner.is_dead(untouched_s):
            raise SlideBusyError(
                f"another run (process {owner.pid} on {owner.host}) is working on it; it is left to that run"
            )
        _break(path, text)


def _read(path: Path) -> tuple[str, Owner, float] | None:
    """Return the lock's text, its owner and the seconds since its last touch; None if it is gone."""
    try:
        text = path.read_text(encoding="utf-8")
        untouched_s = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None
    try:
        described = json.loads(text)
        owner = Owner(str(described["host"]), int(described["pid"]))
    except (ValueError, KeyError, TypeError):
        # Killed between making and filling it; only its age tells.
        owner = Owner("", 0)
    return text, owner, untouched_s


def _break(path: Path, dead: str) -> None:
    """Take a dead owner's lock away; of several that try, a lock taken meanwhile by another is put back."""
    aside = path.with_name(f"{path.name}.{uuid4().hex[:12]}")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    if aside.read_text(encoding="utf-8") != dead:
        os.rename(aside, path)
        return
    aside.unlink()


def _keep(path: Path, stop: threading.Event) -> None:
    while not stop.wait(TOUCH_EVERY_S):
        try:
            os.utime(path)
        except OSError:
            continue
