"""One run at a time on a slide of a bucket: an object as the lock, which a dead owner cannot keep.

An object store renames nothing and links nothing; but it can refuse to put an object that is there already
(conditional put: S3 since 2024, GCS, MinIO). Where it cannot, two runs may compute the same slide; both then
put the same bytes.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any
from uuid import uuid4

from wsiseg.machine.locks import STALE_S, TOUCH_EVERY_S, BusyError, Owner, machine_here, process_start


@contextmanager
def held_object(fs: Any, path: str, work: str = "") -> Iterator[None]:
    """Hold a lock object, written again by a thread every `TOUCH_EVERY_S` seconds.

    Parameters
    ----------
    fs : fsspec filesystem
        Without a cache of listings.
    path : str
    work : str
        What is worked on, for others to read.

    Raises
    ------
    BusyError
        If a living owner holds it, or at the end, if another run has taken it.
    """
    pid = os.getpid()
    mine = Owner(socket.gethostname(), machine_here(), pid, process_start(pid), work, uuid4().hex)
    _acquire(fs, path, mine)
    stop, lost = threading.Event(), threading.Event()
    keeper = threading.Thread(target=_keep, args=(fs, path, mine, stop, lost), daemon=True)
    keeper.start()
    try:
        yield
        if lost.is_set():
            raise BusyError(f"its lock {path} was taken by another run; what is done is kept", work)
    finally:
        stop.set()
        keeper.join()
        owner = _owner(fs, path)
        if owner is not None and owner.token == mine.token:
            with suppress(FileNotFoundError):
                fs.rm_file(path)


def wait_for_object(fs: Any, path: str) -> None:
    """Wait until a lock object is gone or was touched, at most until its owner counts as dead."""
    first, deadline = _touched(fs, path), time.monotonic() + STALE_S
    while first is not None and _touched(fs, path) == first and time.monotonic() < deadline:
        time.sleep(min(2.0, TOUCH_EVERY_S / 4))


def _acquire(fs: Any, path: str, mine: Owner) -> None:
    text = json.dumps(asdict(mine)).encode()
    while not _created(fs, path, text):
        owner, touched = _owner(fs, path), _touched(fs, path)
        if owner is None or touched is None:
            continue
        if not owner.is_dead(_now(fs, path, mine) - touched):
            raise BusyError(f"another run (process {owner.pid} on {owner.host}) is working on it", owner.work)
        _break(fs, path, owner, text)
        owner = _owner(fs, path)
        if owner is not None and owner.token == mine.token:
            return


def _created(fs: Any, path: str, text: bytes) -> bool:
    try:
        fs.pipe_file(path, text, mode="create")
    except FileExistsError:
        return False
    except OSError as error:
        if _was_refused(error):
            return False
        raise
    return True


def _break(fs: Any, path: str, dead: Owner, text: bytes) -> None:
    """Put our lock in the place of a dead owner's, if it is still that one."""
    tag = tag_of(fs, path)
    owner = _owner(fs, path)
    if owner is not None and owner.token == dead.token:
        put_in_place_of(fs, path, text, tag)


def tag_of(fs: Any, path: str) -> str | None:
    """Return what tells this state of an object from another; None where there is none, or no such tag."""
    try:
        return fs.info(path).get("ETag")  # type: ignore[no-any-return]
    except FileNotFoundError:
        return None


def put_in_place_of(fs: Any, path: str, data: bytes, tag: str | None) -> bool:
    """Put an object unless the one there has another tag by now; return whether it was put."""
    how = {"IfMatch": tag} if tag and "s3" in fs.protocol else {}
    try:
        fs.pipe_file(path, data, **how)
    except OSError as error:
        if how and (isinstance(error, FileNotFoundError) or _was_refused(error)):
            return False
        raise
    return True


def _was_refused(error: OSError) -> bool:
    return "PreconditionFailed" in str(error) or "pre-conditions" in str(error)


def _now(fs: Any, path: str, mine: Owner) -> float:
    """Return the time by the clock of the store."""
    probe = f"{path}.{mine.token[:12]}"
    fs.pipe_file(probe, b"")
    try:
        return float(fs.modified(probe).timestamp())
    finally:
        fs.rm_file(probe)


def _owner(fs: Any, path: str) -> Owner | None:
    try:
        return Owner(**json.loads(fs.cat_file(path)))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return Owner("", "", 0, "", "", "")


def _touched(fs: Any, path: str) -> float | None:
    try:
        return float(fs.modified(path).timestamp())
    except FileNotFoundError:
        return None


def _keep(fs: Any, path: str, mine: Owner, stop: threading.Event, lost: threading.Event) -> None:
    text = json.dumps(asdict(mine)).encode()
    while not stop.wait(TOUCH_EVERY_S):
        try:
            owner = _owner(fs, path)
            if owner is None or owner.token != mine.token:
                lost.set()
                return
            fs.pipe_file(path, text)
        except OSError:
            continue
