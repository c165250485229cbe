"""A real Dask scheduler with two worker processes does what threads do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from command_line import Command, command_environment
from outputs import digests, predicted

from wsiseg.errors import UsageError
from wsiseg.inference.graph import open_cluster


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a running scheduler with two workers, three processes in all."""
    place = tmp_path / "scheduler.json"
    common = ["--scheduler-file", place, "--no-dashboard"]
    worker = [
        "distributed.cli.dask_worker",
        *common,
        "--no-nanny",
        "--nthreads",
        1,
        "--local-directory",
        tmp_path,
    ]
    with ExitStack() as stack:
        stack.enter_context(
            running("distributed.cli.dask_scheduler", *common, "--port", 0, "--host", "127.0.0.1")
        )
        deadline = time.monotonic() + 60
        while not place.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        for _ in range(2):
            stack.enter_context(running(*worker))
        yield json.loads(place.read_text())["address"]


@contextmanager
def running(module: str, *arguments: object) -> Iterator[None]:
    """Run a module until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=command_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_two_worker_processes_leave_the_same_outputs(
    tmp_path: Path, svs_slide: Path, model_file: Path, scheduler: str, command: Command
) -> None:
    predicted(svs_slide, tmp_path / "here", model_file, tile_px=300)
    done = command(
        "predict",
        svs_slide,
        "-o",
        tmp_path / "there",
        "-m",
        model_file,
        "--tile-size",
        300,
        "--scheduler",
        scheduler,
        "-w",
        1,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert digests(tmp_path / "there") == digests(tmp_path / "here")
    (row,) = json.loads((tmp_path / "there" / "run.json").read_text())["slides"]
    assert "dask" in row["engine"]


@pytest.mark.parametrize("address", ["nowhere", "tcp://127.0.0.1:9"])
def test_no_scheduler_at_an_address_is_said_in_a_line(address: str) -> None:
    with pytest.raises(UsageError, match=f"no Dask scheduler answers at {address}"), open_cluster(address, 1):
        pass
