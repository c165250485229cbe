"""Schedulers and workers of Dask in processes of their own, for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from command_line import command_environment

PATIENCE_S = 150


def environment() -> dict[str, str]:
    """Return an environment in which the package under test and the modules beside this one are found."""
    found = command_environment()
    return found | {"PYTHONPATH": os.pathsep.join([found["PYTHONPATH"], str(Path(__file__).parent)])}


@contextmanager
def running(
    module: str,
    *arguments: object,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    inside: Sequence[str] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module until the block ends; `inside` goes before the command."""
    process = subprocess.Popen(
        [*inside, sys.executable, "-m", module, *map(str, arguments)],
        env=environment() | dict(env or {}), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        cwd=cwd,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def scheduler(folder: Path, host: str = "127.0.0.1", port: int = 0, **how: object) -> Iterator[str]:
    """Give the address of a scheduler; any free port if 0."""
    place = folder / f"scheduler-{os.urandom(4).hex()}.json"
    options = ("--scheduler-file", place, "--no-dashboard", "--port", port, "--host", host)
    with running("distributed.cli.dask_scheduler", *options, cwd=folder, **how):  # type: ignore[arg-type]
        until(place.exists)
        yield json.loads(place.read_text())["address"]


@contextmanager
def worker(
    address: str, folder: Path, *options: object, modules: Path | None = None, **how: object
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker of one thread; `modules` is a folder whose modules come before all others."""
    env = {"PYTHONPATH": os.pathsep.join([str(modules), environment()["PYTHONPATH"]])} if modules else None
    plain = ("--no-nanny", "--no-dashboard", "--local-directory", folder)
    threads = () if "--nthreads" in options else ("--nthreads", 1)
    given = (address, *plain, *threads, *options)
    with running("distributed.cli.dask_worker", *given, env=env, cwd=folder, **how) as process:  # type: ignore[arg-type]
        yield process


def predicting(
    slides: Sequence[Path], out: Path, model: Path, address: str, tile_px: int, patience_s: float = 120
) -> subprocess.Popen[str]:
    """Start `wsiseg predict` on a cluster, with the time that it waits for lost workers or scheduler."""
    code = (
        "import runpy; from functools import partial; from wsiseg.inference import remote;"
        f"remote.connected = partial(remote.connected, patience_s={patience_s});"
        "runpy.run_module('wsiseg', run_name='__main__')"
    )
    command = ["predict", *slides, "-o", out, "-m", model, "--tile-size", tile_px, "--scheduler", address]
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, command)],
        env=command_environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it never came true")
        time.sleep(0.05)
