"""`wsiseg fit` as a user types it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import wsiseg
from wsiseg.cli.main import cli
from wsiseg.network.model import load_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit") / "images"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for i in range(2):
        Image.fromarray(generator.integers(40, 250, (304, 300, 3)).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


def arguments(images: Path, output: Path, *more: str) -> list[str]:
    fixed = ["--preset", "paper", "--repeats", "1", "--slide-mpp", "0.25", "--threads", "1", "-b", "1"]
    return ["fit", str(images), "-o", str(output), *fixed, *more]


def test_fit_then_choose_again(images, tmp_path):
    run = CliRunner().invoke(cli, arguments(images, tmp_path / "run", "--epochs", "1"))
    assert run.exit_code == 0, run.output
    assert "repeat 1/1 epoch 1/1: loss" in run.output
    assert "model: repeat 1, channel" in run.output
    for name in ("metrics.csv", "contact-sheet.png", "report.html", "run.json", "repeat-01/figure1.png"):
        assert (tmp_path / "run" / name).exists()
    chosen = CliRunner().invoke(cli, ["fit", "-o", str(tmp_path / "run"), "--select", "1:3"])
    assert chosen.exit_code == 0, chosen.output
    assert load_model(tmp_path / "run").info.channel == 3


def test_mistakes_are_said_in_one_line(images, tmp_path):
    tries = {
        "give --slide-mpp": ["fit", str(images), "-o", str(tmp_path / "a"), "--preset", "paper"],
        "no slides given": ["fit", "-o", str(tmp_path / "b")],
        "no run of": ["fit", "-o", str(tmp_path / "c"), "--select", "1:0"],
        "no such file or folder": ["fit", str(tmp_path / "nowhere"), "-o", str(tmp_path / "d")],
    }
    for said, asked in tries.items():
        run = CliRunner().invoke(cli, asked)
        assert run.exit_code == 2, run.output
        assert said in run.output
        assert "Traceback" not in run.output


def test_a_bad_slide_is_named_and_the_rest_is_done(images, tmp_path):
    (tmp_path / "broken.svs").write_bytes(b"no slide")
    more = [str(tmp_path / "broken.svs"), "--epochs", "1", "-q"]
    run = CliRunner().invoke(cli, arguments(images, tmp_path / "run", *more))
    assert run.exit_code == 1
    assert "broken.svs" in run.output
    load_model(tmp_path / "run")


def test_help_names_every_default():
    text = CliRunner().invoke(cli, ["fit", "--help"]).output
    for option in (
        "--preset",
        "--repeats",
        "--epochs",
        "--similarity",
        "--inter",
        "--max-minutes",
        "--select",
    ):
        assert option in text


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_runs_leave_a_model(images, tmp_path, sent, code):
    asked = arguments(images, tmp_path / "run", "--epochs", "200")
    environment = {**os.environ, "PYTHONPATH": str(Path(wsiseg.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "wsiseg", *asked], env=environment, stderr=subprocess.PIPE, text=True,
        # what runs in the background of a shell, as tests may, ignores Ctrl-C, and so do its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 400
    while not (tmp_path / "run" / "repeat-01" / "checkpoint").exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(sent)
    _, said = process.communicate(timeout=100)
    assert process.returncode == code, said
    assert "Traceback" not in said
    assert load_model(tmp_path / "run").info.training["epoch"] >= 1
