"""`wsiseg demo`, with the model that ships: the one test of its quality."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_line import Command

pytestmark = pytest.mark.slow


def test_demo_finds_the_nuclei_that_it_drew(tmp_path: Path, command: Command) -> None:
    done = command("demo", cwd=tmp_path, timeout_s=400)
    assert done.returncode == 0, done.stderr
    found = re.search(r"F1 \(IoU > 0.5\) (\d\.\d+)", done.stdout)
    assert found, done.stdout
    assert float(found[1]) >= 0.7
    folder = tmp_path / "wsiseg-demo"
    for name in ("svs", "preview.jpg", "geojson", "parquet", "zarr"):
        assert f"synthetic-0.{name}" in done.stdout
        assert (folder / f"synthetic-0.{name}").exists()
