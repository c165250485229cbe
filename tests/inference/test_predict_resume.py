"""Invariant 4: a run that was stopped at any moment and started again ends as one that never was."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import command_environment
from outputs import digests, predicted

from wsiseg.inference import plan
from wsiseg.inference.outputs import Observer
from wsiseg.inference.stages import compute_block, compute_tile


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, svs_slide: Path, model_file: Path
) -> dict[str, str]:
    out = tmp_path_factory.mktemp("undisturbed")
    predicted(svs_slide, out, model_file, tile_px=256)
    return digests(out)


class Killed(BaseException):
    """Ends a run wherever it is."""


class StopAfter(Observer):
    """Stop the run after some results or at the start of a phase."""

    def __init__(self, results: int = -1, phase: str = "") -> None:
        self.results, self.at_phase = results, phase

    def advanced(self, megapixels: float, nuclei: int) -> None:
        self.results -= 1
        if self.results == 0:
            raise Killed

    def phase(self, name: str) -> None:
        if name == self.at_phase:
            raise Killed


@pytest.mark.parametrize(
    "stop",
    [
        {"results": 1},
        {"results": 4},
        {"results": 20},
        {"phase": "writing polygons"},
        {"phase": "writing labels"},
    ],
)
def test_a_stopped_run_is_resumed_and_nothing_is_computed_twice(
    tmp_path: Path,
    svs_slide: Path,
    model_file: Path,
    undisturbed: dict[str, str],
    stop: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    computed: list[tuple[str, int, int]] = []

    def counted(stage: Any) -> Any:
        def run(job: Any, row: int, col: int) -> Any:
            result = stage(job, row, col)
            computed.append((stage.__name__, row, col))
            return result

        return run

    monkeypatch.setattr(plan, "compute_block", counted(compute_block))
    monkeypatch.setattr(plan, "compute_tile", counted(compute_tile))
    with pytest.raises(Killed):
        predicted(svs_slide, tmp_path, model_file, tile_px=256, observer=StopAfter(**stop))
    assert not (tmp_path / "slide.zarr").exists()
    (report,) = predicted(svs_slide, tmp_path, model_file, tile_px=256)
    assert report.state == "done"
    assert digests(tmp_path) == undisturbed
    assert len(computed) == len(set(computed)) > 20


def test_a_killed_process_is_resumed_with_the_same_outputs(
    tmp_path: Path, svs_slide: Path, model_file: Path, undisturbed: dict[str, str]
) -> None:
    """`kill -9` at three moments that differ in every run of the tests, each after the store is there."""
    chance = random.Random()
    for _ in range(3):
        process = start(svs_slide, tmp_path, model_file)
        wait_for_store(tmp_path)
        time.sleep(chance.uniform(0.0, 2.0))
        process.kill()
        process.communicate()
    process = start(svs_slide, tmp_path, model_file)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert digests(tmp_path) == undisturbed
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "run.json", "slide.geojson", "slide.parquet", "slide.png", "slide.zarr", "summary.csv",
    ]  # fmt: skip


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_stop_the_run_soon_and_keep_its_state(
    tmp_path: Path, svs_slide: Path, model_file: Path, undisturbed: dict[str, str], number: int, code: int
) -> None:
    process = start(svs_slide, tmp_path, model_file)
    wait_for_store(tmp_path)
    process.send_signal(number)
    sent = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert "Traceback" not in said
    assert "goes on from there" in said
    assert time.monotonic() - sent < 5 * SLACK
    (report,) = predicted(svs_slide, tmp_path, model_file, tile_px=256)
    assert report.state == "done"
    assert digests(tmp_path) == undisturbed


# A machine that is busy with other work is slower than the promise.
SLACK = 3


def start(slide: Path, out: Path, model: Path) -> subprocess.Popen[str]:
    arguments = ["predict", slide, "-o", out, "-m", model, "--tile-size", 256, "-w", 2]
    return subprocess.Popen(
        [sys.executable, "-m", "wsiseg", *map(str, arguments)],
        env=command_environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # what runs in the background of a shell, as tests may, ignores Ctrl-C, and so do its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def wait_for_store(out: Path) -> None:
    """Wait until the run has begun to compute, or has ended."""
    for _ in range(1200):
        if (out / "slide.zarr.unfinished").exists() or (out / "slide.zarr").exists():
            return
        time.sleep(0.05)
    raise TimeoutError
