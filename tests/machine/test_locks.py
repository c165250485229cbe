"""One lock protocol, two back ends: one holder at a time, and a dead owner keeps nothing."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from wsiseg.machine import locks
from wsiseg.machine.lock_file import LockFile
from wsiseg.machine.lock_object import LockObject
from wsiseg.machine.locks import BusyError, Lock, LostError, held
from wsiseg.machine.owner import STALE_S, Owner


class Folder:
    """A folder with one lock, and how a test looks at it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lock: Lock = LockFile(path / ".slide.lock")

    def files(self) -> list[str]:
        return os.listdir(self._path)

    def write(self, data: bytes) -> None:
        (self._path / ".slide.lock").write_bytes(data)

    def read(self) -> bytes:
        return (self._path / ".slide.lock").read_bytes()

    def remove(self) -> None:
        (self._path / ".slide.lock").unlink()


class Bucket:
    """The same for a prefix of an object store."""

    def __init__(self, root: str) -> None:
        self._fs: Any = fsspec.filesystem("memory")
        self._fs.mkdirs(root)
        self._root = root
        self.lock: Lock = LockObject(self._fs, f"{root}/.slide.lock")

    def files(self) -> list[str]:
        return list(self._fs.find(self._root))

    def write(self, data: bytes) -> None:
        self._fs.pipe_file(f"{self._root}/.slide.lock", data)

    def read(self) -> bytes:
        return bytes(self._fs.cat_file(f"{self._root}/.slide.lock"))

    def remove(self) -> None:
        self._fs.rm_file(f"{self._root}/.slide.lock")


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Folder | Bucket:
    """Where a lock lies."""
    return Folder(tmp_path) if request.param == "folder" else Bucket(f"/locks/{tmp_path.name}")


def test_a_lock_is_held_by_one_and_gone_afterwards(place: Folder | Bucket) -> None:
    with held(place.lock, work="a slide") as state:
        found = json.loads(place.read())
        assert (found["host"], found["pid"]) == (socket.gethostname(), os.getpid())
        with pytest.raises(BusyError, match=str(os.getpid())) as busy, held(place.lock):
            pass
        assert busy.value.work == "a slide"
        assert not busy.value.may_be_dead
        state.check()
        assert place.read()
    assert place.files() == []


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
def test_who_is_dead_at_once(place: Folder | Bucket, changes: dict[str, Any], busy: bool) -> None:
    lock = replace(Owner.here("a slide"), **changes).as_bytes()
    place.write(lock)
    if busy:
        with pytest.raises(BusyError), held(place.lock):
            pass
        assert place.read() == lock
    else:
        with held(place.lock):
            assert json.loads(place.read())["pid"] == os.getpid()
        assert place.files() == []


def elsewhere() -> bytes:
    """Return the lock of a process of another host."""
    return json.dumps(asdict(Owner.here("")) | {"host": "another", "machine": "another"}).encode()


@pytest.mark.parametrize(
    "data", [elsewhere(), b"", b'{"pid": "x"}'], ids=["another host", "empty", "damaged"]
)
def test_another_host_keeps_it_while_it_touches_it(
    place: Folder | Bucket, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write(data)
    with pytest.raises(BusyError) as busy, held(place.lock):
        pass
    assert busy.value.may_be_dead
    now = type(place.lock).now
    monkeypatch.setattr(type(place.lock), "now", lambda *what: now(*what) + STALE_S + 5)
    with held(place.lock):
        assert json.loads(place.read())["pid"] == os.getpid()
    assert place.files() == []


@pytest.mark.parametrize("happened", ["was taken by another run", "is gone"])
def test_a_lost_lock_is_noticed_and_left_to_its_new_owner(
    place: Folder | Bucket, happened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "TOUCH_EVERY_S", 0.02)
    with held(place.lock) as state:
        place.remove()
        if happened == "was taken by another run":
            place.write(elsewhere())
        while not state.lost:
            time.sleep(0.01)
        with pytest.raises(LostError, match=happened):
            state.check()
    assert len(place.files()) == (happened == "was taken by another run")


def test_an_owner_that_touches_its_lock_has_given_a_sign(
    place: Folder | Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "TOUCH_EVERY_S", 0.05)
    with held(place.lock):
        first = place.lock.read()
        locks.wait_for_sign(place.lock)
        assert place.lock.read() != first
    locks.wait_for_sign(place.lock)
    monkeypatch.setattr(locks, "STALE_S", 0.1)
    lock = elsewhere()
    place.write(lock)
    locks.wait_for_sign(place.lock)
    assert place.read() == lock
