"""What the machine does to a training: it says so in words, and the same command goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import command_environment
from faults import resize, small_disk, without_rights
from fitting import fit

from wsiseg.errors import StoreError
from wsiseg.training.config import TrainingConfig
from wsiseg.training.observer import FitObserver

pytestmark = pytest.mark.slow


@pytest.fixture
def short(config: TrainingConfig) -> TrainingConfig:
    return replace(config, repeats=1, epochs=2)


def test_a_disk_that_fills(images: Path, short: TrainingConfig, tmp_path: Path) -> None:
    fit(images, tmp_path / "whole", short)
    expected = (tmp_path / "whole" / "model.safetensors").read_bytes()
    ends = []
    for size_kib in (4, 100, 200, 300, 420, 520, 800):
        disk = tmp_path / f"disk-{size_kib}"
        with small_disk(disk, size_kib):
            said = ""
            try:
                fit(images, disk, short)
            except StoreError as error:
                said = str(error)
            assert ("No space left on device" in said) == bool(said)
            assert not list(disk.rglob("*.part"))
            ends.append("full" if said else "done")
            resize(disk, 64 << 10)
            fit(images, disk, short)
            assert (disk / "model.safetensors").read_bytes() == expected
    assert set(ends) == {"full", "done"}


class During(FitObserver):
    """Does something once, after an epoch."""

    def __init__(self, act: Any) -> None:
        self.act = act

    def epoch_done(self, repeat: int, record: Any, channel: int) -> None:
        act, self.act = self.act, lambda: None
        act()


def test_a_second_run_in_the_folder_is_refused(images: Path, short: TrainingConfig, tmp_path: Path) -> None:
    refused: list[str] = []

    def second() -> None:
        for settings in ({}, {"overwrite": True}):
            with pytest.raises(StoreError, match="is working on it") as caught:
                fit(images, tmp_path / "run", short, **settings)
            refused.append(str(caught.value))

    fit(images, tmp_path / "run", short, observer=During(second))
    assert str(os.getpid()) in refused[0]
    assert len(refused) == 2
    fit(images, tmp_path / "whole", short)
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "whole")]
    assert models[0] == models[1]
    assert not list((tmp_path / "run").glob(".*"))


def test_repeats_without_their_settings_are_not_gone_on_with(
    images: Path, short: TrainingConfig, tmp_path: Path
) -> None:
    fit(images, tmp_path / "run", short)
    (tmp_path / "run" / "run.json").unlink()
    with pytest.raises(StoreError, match=r"run\.json is gone; use --overwrite"):
        fit(images, tmp_path / "run", replace(short, seed=5))
    fit(images, tmp_path / "run", replace(short, seed=5), overwrite=True)


def test_a_folder_that_may_not_be_written(svs_slide: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir(mode=0o555)
    arguments = ["fit", svs_slide, "-o", out, "--repeats", 1, "--epochs", 1]
    done = subprocess.run(
        [*without_rights(), sys.executable, "-m", "wsiseg", *map(str, arguments)],
        env=command_environment(), text=True, capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert (done.returncode, "cannot be written: Permission denied" in done.stderr) == (1, True), done.stderr
    assert "Traceback" not in done.stderr
