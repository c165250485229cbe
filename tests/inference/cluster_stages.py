"""Stages for tests of a cluster; its workers import this module."""

from __future__ import annotations

import os
import signal
import threading
import time

from distributed import get_worker

from wsiseg.inference.graph import StageResult
from wsiseg.store.states import Key

RUNNING: list[int] = []


def where(seconds: tuple[float, ...], key: Key) -> StageResult:
    """Take the seconds of the key's row, and say which worker ran this, with how many at once."""
    RUNNING.append(threading.get_ident())
    time.sleep(seconds[key.row])
    busy = len(RUNNING)
    RUNNING.remove(threading.get_ident())
    return StageResult(key, pixels=busy, failure=str(get_worker().name))


def deadly(job: str, key: Key) -> StageResult:
    """Kill the worker if asked for column 1."""
    if key.col == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return StageResult(key)


def given_up(job: str, key: Key, cause: str) -> StageResult:
    """Record that workers died of it."""
    return StageResult(key, failure=cause)
