"""A real Dask scheduler with two worker processes does what threads do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Command, command_environment
from outputs import digests, predicted

SERVE = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def scheduler(tmp_path: Path) -> Path:
    """The address of a running scheduler."""
    script = tmp_path / "serve.py"
    script.write_text(SERVE)
    with subprocess.Popen(
        [sys.executable, script], env=command_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=tmp_path,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(timeout=30)


def test_two_worker_processes_leave_the_same_outputs(
    tmp_path: Path, svs_slide: Path, model_file: Path, scheduler: str, command: Command
) -> None:
    predicted(svs_slide, tmp_path / "here", model_file, tile_px=300)
    done = command(
        "predict", svs_slide, "-o", tmp_path / "there", "-m", model_file, "--tile-size", 300, "--scheduler", scheduler, "-w", 1
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert digests(tmp_path / "there") == digests(tmp_path / "here")
    (row,) = json.loads((tmp_path / "there" / "run.json").read_text())["slides"]
    assert "dask" in row["engine"]


def test_no_scheduler_at_an_address_is_said_in_a_line(tmp_path: Path, small_slide: Path, command: Command) -> None:
    done = command("predict", small_slide, "-o", tmp_path, "--slide-mpp", 0.25, "--scheduler", "nowhere")
    assert done.returncode == 2
    assert "no Dask scheduler answers at nowhere" in done.stderr
    assert "Traceback" not in done.stderr
