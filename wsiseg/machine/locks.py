"""One run at a time per output: a lock that outlives no dead owner, on this host or another."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from wsiseg.errors import WsisegError
from wsiseg.machine.lock_file import LockFile
from wsiseg.machine.owner import STALE_S, Owner

TOUCH_EVERY_S = 10.0


class BusyError(WsisegError):
    """Another run holds the lock.

    Parameters
    ----------
    message : str
        Who holds the lock.
    work : str
        What the holder works on.
    may_be_dead : bool
        Whether the holder is on another host, where only a touched lock shows that it is alive.
    """

    def __init__(self, message: str, work: str = "", may_be_dead: bool = False) -> None:
        super().__init__(message)
        self.work = work
        self.may_be_dead = may_be_dead


class LostError(WsisegError):
    """The lock is no longer ours."""


class Lock(Protocol):
    """Where a lock lies: a file (`LockFile`) or an object of a bucket (`LockObject`)."""

    name: str

    def create(self, mine: Owner) -> bool:
        """Write the lock unless there is one; return whether it was written."""

    def read(self) -> tuple[Owner, float] | None:
        """Return the owner and the time of the last touch; None if nobody holds the lock."""

    def touch(self, mine: Owner) -> None:
        """Show that the owner is alive."""

    def now(self, mine: Owner) -> float:
        """Return the time by the clock that stamps touches."""

    def take_over(self, dead: Owner, mine: Owner) -> bool:
        """Take over a dead owner's lock, if it is still theirs; return whether it is ours now."""

    def remove(self) -> None:
        """Remove the lock."""


class Held:
    """A lock that is held; `check` raises once it is not."""

    def __init__(self) -> None:
        self.lost = ""

    def check(self) -> None:
        """Raise `LostError` if another run has taken the lock, perhaps while this machine was suspended."""
        if self.lost:
            raise LostError(self.lost)


@contextmanager
def held(lock: Lock, work: str = "", wait_s: float = 0.0) -> Iterator[Held]:
    """Hold a lock, kept alive by a thread that touches it.

    Parameters
    ----------
    lock : Lock
        A lock file or lock object.
    work : str
        What is being processed, for other runs to read.
    wait_s : float
        How long to wait for a living owner.

    Raises
    ------
    BusyError
        If a living owner holds it.
    OSError
        If the lock cannot be written.
    """
    mine = Owner.here(work)
    _acquire(lock, mine, wait_s)
    state, stop = Held(), threading.Event()
    keeper = threading.Thread(target=_keep, args=(lock, mine, state, stop), name="wsiseg-lock", daemon=True)
    keeper.start()
    try:
        yield state
    finally:
        stop.set()
        keeper.join()
        if _is_of(lock, mine):
            lock.remove()


@contextmanager
def held_lock(path: Path, work: str = "", wait_s: float = 0.0) -> Iterator[Held]:
    """Hold a lock file; see `held`."""
    with held(LockFile(path), work, wait_s) as state:
        yield state


def wait_for_sign(lock: Lock) -> None:
    """Wait until a lock is gone or its owner has shown that it is alive, at most until it counts as dead."""
    first, deadline = _touched(lock), time.monotonic() + STALE_S
    while first is not None and _touched(lock) == first and time.monotonic() < deadline:
        time.sleep(min(1.0, TOUCH_EVERY_S / 4))


def _acquire(lock: Lock, mine: Owner, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while not lock.create(mine):
        found = lock.read()
        if found is None:
            continue
        owner, touched = found
        if owner.is_dead(lock.now(mine) - touched):
            if lock.take_over(owner, mine):
                return
        elif time.monotonic() > deadline:
            raise BusyError(
                f"another run (process {owner.pid} on {owner.host or 'another host'}) is working on it",
                owner.work,
                may_be_dead=not owner.is_here,
            )
        else:
            time.sleep(0.02)


def _is_of(lock: Lock, mine: Owner) -> bool:
    found = lock.read()
    return found is not None and found[0].token == mine.token


def _touched(lock: Lock) -> float | None:
    found = lock.read()
    return None if found is None else found[1]


def _keep(lock: Lock, mine: Owner, state: Held, stop: threading.Event) -> None:
    while not stop.wait(TOUCH_EVERY_S):
        try:
            found = lock.read()
            if found is None or found[0].token != mine.token:
                happened = "was taken by another run" if found else "is gone"
                state.lost = f"its lock {lock.name} {happened}; finished work is kept"
                return
            lock.touch(mine)
        except Exception:
            # A disk or network may fail for a moment; if that lasts, another run takes the lock.
            continue
