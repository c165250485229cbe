"""kill -9 at random moments, again and again, until a run has ended by itself."""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PATIENCE_S = 300.0

Stamps = dict[str, tuple[int, int]]


@dataclass
class Killer:
    """Runs a function in processes that it kills; they start from a server that has imported everything.

    Parameters
    ----------
    enough : int
        Kills; what runs after them is let be.
    imports : module
        What takes time is done when it is imported.
    """

    enough: int
    imports: ModuleType | None = None
    seed: int = field(default_factory=lambda: random.SystemRandom().randrange(1 << 32))
    kills: int = 0

    def __post_init__(self) -> None:
        print(f"seed of the kills: {self.seed}")
        self.chance = random.Random(self.seed)
        self._context = multiprocessing.get_context("forkserver")
        if self.imports is not None:
            # One server a process, with the imports of whoever was first: not ours.
            forkserver._forkserver._stop()  # type: ignore[attr-defined]
            self._context.set_forkserver_preload([self.imports.__name__])

    def undisturbed(self, run: Callable[..., Any], *arguments: object) -> float:
        """Run once to the end; return how long the work took."""
        with self._started(run, *arguments) as process:
            began = time.monotonic()
            process.join(PATIENCE_S)
            assert process.exitcode == 0
        return time.monotonic() - began

    def until_done(
        self, longest_s: float, after_kill: Callable[[], None], run: Callable[..., Any], *arguments: object
    ) -> None:
        """Start, kill after a while, look, and start again, until a run has ended.

        The while is at most `longest_s`, and more from kill to kill: a busy machine may have become slower.
        """
        while True:
            with self._started(run, *arguments) as process:
                if self.kills < self.enough:
                    process.join(self.chance.uniform(0.0, longest_s))
                    longest_s *= 1.2
                else:
                    process.join(PATIENCE_S)
                ended = process.exitcode
                if ended is None:
                    assert self.kills < self.enough
                    process.kill()
                    process.join(PATIENCE_S)
                    self.kills += 1
            if ended is not None:
                assert ended == 0
                return
            after_kill()

    def folders(self, parent: Path) -> Iterator[Path]:
        """Yield a folder for each run from the start to its end, until there were kills enough."""
        runs = 0
        while self.kills < self.enough:
            yield parent / f"killed-{runs}"
            runs += 1
        print(f"{self.kills} kills in {runs} runs")

    @contextmanager
    def _started(self, run: Callable[..., Any], *arguments: object) -> Iterator[Any]:
        process = self._context.Process(target=run, args=arguments)
        with pytest.MonkeyPatch.context() as patched:
            # The server knows the paths of the environment only.
            folder = [] if self.imports is None else [str(Path(str(self.imports.__file__)).parent)]
            patched.setenv("PYTHONPATH", os.pathsep.join(filter(None, [*folder, *sys.path])))
            process.start()
        try:
            yield process
        finally:
            process.kill()
            process.join()


def stamps(folder: Path, *places: str) -> Stamps:
    """Return what tells a file from the same one written again, by its place in the folder."""
    found: Stamps = {}
    for place in places:
        for file in (folder / place).rglob("*"):
            if file.is_file() and not file.name.endswith((".json", ".partial")):
                status = file.stat()
                found[str(file.relative_to(folder))] = (status.st_ino, status.st_mtime_ns)
    return found
