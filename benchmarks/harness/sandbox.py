"""Work that may crash, hang or eat memory, in forked processes with limits; what became of each is told."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEMORY_BYTES = 2 << 30
# of the processor; on a busy machine a clock says how busy it is, so it only ends what waits for ever
SECONDS, PATIENCE = 10.0, 90.0

# Verdicts: the last four are failures.
READ, REFUSED, UNCAUGHT, MEMORY, HANG, CRASH = "read", "refused", "uncaught", "memory", "hang", "crash"
LIBRARIES = {"wsiseg", "cv2", "skimage", "scipy", "zarr", "pyarrow", "numcodecs", "PIL"}
TIMERS = (signal.SIGALRM, signal.SIGPROF)
FAILURES = (UNCAUGHT, MEMORY, HANG, CRASH)


@dataclass(frozen=True)
class Outcome:
    """What became of one case: a verdict, and what was said."""

    case: int
    verdict: str
    detail: str


def attempts(
    cases: Sequence[int], work: Callable[[int], tuple[str, str]], batch: int = 250
) -> Iterator[Outcome]:
    """Yield the outcome of each case, in order.

    Parameters
    ----------
    cases : sequence of int
    work : callable
        Returns verdict and detail of a case; runs in a fork of this process, which must have no threads.
    batch : int
        Cases a process does before a fresh one takes over.
    """
    todo = list(cases)
    while todo:
        done = list(_one_process(todo[:batch], work))
        yield from done
        todo = todo[len(done) :]


def _one_process(cases: Sequence[int], work: Callable[[int], tuple[str, str]]) -> Iterator[Outcome]:
    """Do cases in a fork until it is through or dies; a death is the outcome of the case it died of."""
    receive, send = os.pipe()
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            os.close(receive)
            _child(cases, work, send, said)
        os.close(send)
        told = 0
        with os.fdopen(receive, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                case, verdict, detail = line.rstrip("\n").split("\t", 2)
                told += 1
                yield Outcome(int(case), verdict, detail)
        _, status = os.waitpid(child, 0)
        if told < len(cases):
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            name = signal.Signals(number).name if number else f"exit {os.waitstatus_to_exitcode(status)}"
            said.seek(0)
            where = said.read()[-3000:].decode("utf-8", "replace")
            yield Outcome(cases[told], HANG if number in TIMERS else CRASH, f"{name}: {where}")


def _child(cases: Sequence[int], work: Callable[[int], tuple[str, str]], send: int, said: Any) -> None:
    gc.freeze()
    os.dup2(said.fileno(), 1)
    os.dup2(said.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable(file=2)
    # the default action ends the process inside a library, where Python's handlers would wait
    for timer in TIMERS:
        signal.signal(timer, signal.SIG_DFL)
    for number, case in enumerate(cases):
        os.ftruncate(2, 0)
        _limit_memory()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        verdict, detail = work(case)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        line = " ".join(detail.split())[:2000]
        os.write(send, f"{case}\t{verdict}\t{line}\n".encode("utf-8", "replace"))
        if number % 25 == 24:
            gc.collect()
    os._exit(0)


def _limit_memory() -> None:
    """Limit what a case adds: libraries and threads of those before it keep addresses that they never use."""
    limit = MEMORY_BYTES + int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def learn_imports(function: Callable[[], object]) -> None:
    """Import here what a function imports; it runs in a fork, so that threads that it starts do not stay."""
    with tempfile.NamedTemporaryFile("r+", encoding="utf-8") as told:

        def note() -> None:
            function()
            Path(told.name).write_text("\n".join(sys.modules), encoding="utf-8")

        in_a_fork(note)
        for name in told.read().split("\n"):
            if name.partition(".")[0] in LIBRARIES:
                with contextlib.suppress(Exception):
                    importlib.import_module(name)


def in_a_fork(function: Callable[[], object]) -> None:
    """Call a function in a process of its own."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            function()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError(f"{function} failed")


def memory_ran_out(error: BaseException | None) -> bool:
    """Whether an exception, or one that it came from, is for want of memory."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def scratch_folder() -> Path:
    """Return a new folder in memory where there is one: thousands of small files are written."""
    shared = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="wsiseg-fuzz-", dir=shared if os.access(shared, os.W_OK) else None))
