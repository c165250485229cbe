"""Stages for tests of a cluster; its workers import this module."""

from __future__ import annotations

import os
import signal
import threading
import time

from distributed import get_worker

from wsiseg.inference.stages import StageResult

RUNNING: list[int] = []


def where(seconds: float, row: int, col: int) -> StageResult:
    """Take some time, and say which worker ran this, with how many at once."""
    RUNNING.append(threading.get_ident())
    time.sleep(seconds)
    busy = len(RUNNING)
    RUNNING.remove(threading.get_ident())
    return StageResult(str(get_worker().name), row, col, pixels=busy)


def deadly(job: str, row: int, col: int) -> StageResult:
    """Kill the worker if asked for column 1."""
    if col == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return StageResult(job, row, col)


def given_up(job: str, row: int, col: int, cause: str) -> StageResult:
    """Record that workers died of it."""
    return StageResult(job, row, col, failure=cause)
