"""Training, killed at any moment and started again, ends with the same bytes; the epoch in flight is lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import warm_fit
from killing import Killer
from warm_fit import fit

from wsiseg.training.config import TrainingConfig
from wsiseg.training.reselect import read_states
from wsiseg.training.run_folder import RunFolder

pytestmark = pytest.mark.slow

KILLS = 20


def models(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.safetensors"))}


def names(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*"))


class Watched:
    """The epochs that are done stay done: the same records, with the very seconds that they took."""

    def __init__(self, out: Path, config: TrainingConfig) -> None:
        self.folder, self.config = RunFolder(out), config
        self.before: dict[int, list[Any]] = {}
        self.at: list[int] = []

    def look(self) -> None:
        """Compare with the look before."""
        states = read_states(self.folder, self.config) if self.folder.read() else {}
        now = {number: state.history for number, state in states.items()}
        for number, history in self.before.items():
            assert now[number][: len(history)] == history
        self.before = now
        self.at.append(sum(map(len, now.values())))


@pytest.mark.timeout(1800)
def test_kill_9_at_random_moments(images: Path, led: TrainingConfig, tmp_path: Path) -> None:
    config = replace(led, epochs=4, consensus_epochs=2)
    settings = json.loads(json.dumps(config.to_json()))
    killer = Killer(KILLS, warm_fit)
    alone_s = killer.undisturbed(fit, images, tmp_path / "alone", settings)
    expected, listed = models(tmp_path / "alone"), names(tmp_path / "alone")
    at: list[int] = []
    for out in killer.folders(tmp_path):
        watched = Watched(out, config)
        killer.until_done(0.35 * alone_s, watched.look, fit, images, out, settings)
        watched.look()
        assert models(out) == expected
        assert names(out) == listed
        at += watched.at[:-1]
    print(f"killed after epochs {sorted(at)}")
