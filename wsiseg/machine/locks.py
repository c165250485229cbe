"""One run at a time on an output: a lock that a dead owner, on this host or another, cannot keep."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from glob import escape
from pathlib import Path
from uuid import uuid4

from wsiseg.errors import WsisegError

# The owner touches its lock this often; a lock not touched for STALE_S is of a dead owner.
TOUCH_EVERY_S = 10.0
STALE_S = 90.0


class BusyError(WsisegError):
    """Another run holds the lock.

    Parameters
    ----------
    message : str
    work : str
        What the holder works on.
    may_be_dead : bool
        Whether the holder is on another host, where only its touch tells that it lives.
    """

    def __init__(self, message: str, work: str = "", may_be_dead: bool = False) -> None:
        super().__init__(message)
        self.work = work
        self.may_be_dead = may_be_dead


class LostError(WsisegError):
    """The lock is no longer ours."""


@dataclass(frozen=True)
class Owner:
    """Who holds a lock.

    Parameters
    ----------
    host : str
        For people.
    machine : str
        The boot and the process space in which `pid` means something: containers may share a host's name.
    pid : int
    started : str
        When the process began, which a later process of the same number has otherwise.
    work : str
        What it works on.
    token : str
        Of this lock alone.
    """

    host: str
    machine: str
    pid: int
    started: str
    work: str
    token: str

    @property
    def is_here(self) -> bool:
        """Whether this host can tell if the process runs."""
        return bool(self.machine) and self.machine == machine_here()

    def is_dead(self, untouched_s: float) -> bool:
        """Whether the owner is gone: its process on this host, or its touch from anywhere."""
        return untouched_s > STALE_S or (self.is_here and not _runs(self.pid, self.started))


class Held:
    """A lock that is held; `check` raises once it is not."""

    def __init__(self) -> None:
        self.lost = ""

    def check(self) -> None:
        """Raise `LostError` if another run has taken the lock, as from one that slept for long."""
        if self.lost:
            raise LostError(self.lost)


@contextmanager
def held_lock(path: Path, work: str = "", wait_s: float = 0.0) -> Iterator[Held]:
    """Hold a lock file, kept alive by a thread.

    Parameters
    ----------
    path : Path
        The lock file; it is made here and removed at the end.
    work : str
        What is worked on, for others to read.
    wait_s : float
        How long to wait for a living owner.

    Raises
    ------
    BusyError
        If a living owner holds it.
    OSError
        If the file cannot be written.
    """
    token = _acquire(path, work, wait_s)
    held, stop = Held(), threading.Event()
    keeper = threading.Thread(target=_keep, args=(path, token, held, stop), name="wsiseg-lock", daemon=True)
    keeper.start()
    try:
        yield held
    finally:
        stop.set()
        keeper.join()
        if _token(path) == token:
            path.unlink(missing_ok=True)


def wait_for_sign(path: Path) -> None:
    """Wait until a lock is gone or its owner has shown that it lives, at most until it counts as dead."""
    first, deadline = _touched(path), time.monotonic() + STALE_S
    while first is not None and _touched(path) == first and time.monotonic() < deadline:
        time.sleep(min(1.0, TOUCH_EVERY_S / 4))


def _acquire(path: Path, work: str, wait_s: float) -> str:
    pid = os.getpid()
    mine = Owner(socket.gethostname(), machine_here(), pid, process_start(pid), work, uuid4().hex)
    beside = path.with_name(f"{path.name}.{mine.token[:12]}")
    deadline = time.monotonic() + wait_s
    try:
        beside.write_text(json.dumps(asdict(mine)), encoding="utf-8")
        while not _claim(beside, path):
            found = _read(path)
            if found is None:
                continue
            owner, touched = found
            # By the clock that stamps the folder's files, which may be a server's.
            os.utime(beside)
            untouched_s = beside.stat().st_mtime - touched
            if owner.is_dead(untouched_s):
                _break(beside, path, owner)
            elif time.monotonic() > deadline:
                raise BusyError(
                    f"another run (process {owner.pid} on {owner.host or 'another host'}) is working on it",
                    owner.work,
                    may_be_dead=not owner.is_here,
                )
            else:
                time.sleep(0.02)
        _remove_leftovers(path)
        return mine.token
    finally:
        beside.unlink(missing_ok=True)


def _claim(beside: Path, path: Path) -> bool:
    """Give a written file a second name, which no two runs can do; return whether it was given."""
    try:
        os.link(beside, path)
    except FileExistsError:
        # Over NFS the answer to a link that succeeded may get lost.
        return beside.stat().st_nlink == 2
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(beside.read_text(encoding="utf-8"))
        except FileExistsError:
            return False
        except OSError:
            path.unlink(missing_ok=True)
            raise
    return True


def _break(beside: Path, path: Path, dead: Owner) -> None:
    """Take a dead owner's lock away: only who holds the mark of that very lock may."""
    mark = path.with_name(f"{path.name}.{dead.token[:12]}.dead")
    if not _claim(beside, mark):
        _remove_if_dead(mark)
        time.sleep(0.01)
        return
    try:
        if _token(path) == dead.token:
            path.unlink(missing_ok=True)
    finally:
        mark.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    """Remove what runs that were killed while they took or broke this lock have left."""
    for leftover in path.parent.glob(f"{escape(path.name)}.*"):
        _remove_if_dead(leftover)


def _remove_if_dead(file: Path) -> None:
    found = _read(file)
    if found is not None and found[0].is_dead(time.time() - found[1]):
        file.unlink(missing_ok=True)


def _read(path: Path) -> tuple[Owner, float] | None:
    """Return the lock's owner and the time of its last touch; None if it is gone."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        touched = path.stat().st_mtime
    except FileNotFoundError:
        return None
    try:
        owner = Owner(**json.loads(text))
        owner = replace(owner, pid=int(owner.pid))
    except (ValueError, TypeError):
        # Not written by this version, or cut; only its age tells.
        owner = Owner("", "", 0, "", "", hashlib.sha256(text.encode()).hexdigest())
    return owner, touched


def _token(path: Path) -> str | None:
    found = _read(path)
    return None if found is None else found[0].token


def _touched(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _keep(path: Path, token: str, held: Held, stop: threading.Event) -> None:
    while not stop.wait(TOUCH_EVERY_S):
        try:
            now = _token(path)
            if now != token:
                taken = "was taken by another run" if now else "is gone"
                held.lost = f"its lock {path.name} {taken}; what is done is kept"
                return
            os.utime(path)
        except OSError:
            continue


@cache
def machine_here() -> str:
    """Return what tells this boot of this machine, and this space of process numbers, from all others."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def process_start(pid: int) -> str:
    """Return when a process began, in ticks since boot; nothing where that cannot be told."""
    fields = _stat(pid)
    return fields[19] if len(fields) > 19 else ""


def _stat(pid: int) -> list[str]:
    """Return what the system says of a process, from its state on; nothing where it says nothing."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    # The field before, the command, may hold spaces and brackets.
    return text.rpartition(")")[2].split()


def _runs(pid: int, started: str) -> bool:
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    fields = _stat(pid)
    # A killed process that nobody has waited for yet is a zombie.
    return not fields or (fields[0] not in "ZX" and (not started or fields[19] == started))
