"""Some hundred damaged files of every kind, each read or refused; benchmarks/fuzz.py does ten thousand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import command_environment

pytestmark = pytest.mark.slow

FUZZ = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"


def test_damaged_files_are_read_or_refused() -> None:
    if not FUZZ.is_file():
        pytest.skip("benchmarks/ is not beside the tests")
    ended = subprocess.run(
        [sys.executable, FUZZ, "--cases", "300", "--seed", "7"], env=command_environment(), text=True,
        capture_output=True, timeout=500, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "300 cases" in ended.stdout
