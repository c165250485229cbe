"""The owner of a lock, and whether it is still running."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from uuid import uuid4

# A lock that nobody touched for so long has a dead owner.
STALE_S = 90.0


@dataclass(frozen=True)
class Owner:
    """Who holds a lock.

    Parameters
    ----------
    host : str
        For people.
    machine : str
        The boot and the process namespace in which `pid` is valid: containers may share a host's name.
    pid : int
        Process number.
    started : str
        When the process started; a later process with the same number started at another time.
    work : str
        What it works on.
    token : str
        Unique to this lock.
    """

    host: str
    machine: str
    pid: int
    started: str
    work: str
    token: str

    @classmethod
    def here(cls, work: str) -> Owner:
        """Return this process as the owner of a new lock."""
        pid = os.getpid()
        return cls(socket.gethostname(), machine_here(), pid, process_start(pid), work, uuid4().hex)

    @classmethod
    def read(cls, data: bytes) -> Owner:
        """Return the owner that a lock names; if it cannot be parsed, one that only age declares dead."""
        try:
            owner = cls(**json.loads(data))
            return replace(owner, pid=int(owner.pid))
        except (ValueError, TypeError):
            return cls("", "", 0, "", "", hashlib.sha256(data).hexdigest())

    def as_bytes(self) -> bytes:
        """Return the content of this owner's lock."""
        return json.dumps(asdict(self)).encode()

    @property
    def is_here(self) -> bool:
        """Whether this host can tell if the process runs."""
        return bool(self.machine) and self.machine == machine_here()

    def is_dead(self, untouched_s: float) -> bool:
        """Whether the owner is gone: its lock is stale, or its process on this host has ended."""
        return untouched_s > STALE_S or (self.is_here and not _runs(self.pid, self.started))


@cache
def machine_here() -> str:
    """Return an identifier of this boot of this machine and of this process namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def process_start(pid: int) -> str:
    """Return when a process started, in ticks since boot; empty where that is unknown."""
    fields = _stat(pid)
    return fields[19] if len(fields) > 19 else ""


def _stat(pid: int) -> list[str]:
    """Return the system's record of a process, from its state on; empty where there is none."""
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
