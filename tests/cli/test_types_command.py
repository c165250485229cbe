"""`wsiseg types`, end to end in processes of their own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from command_line import Command


@pytest.mark.slow
def test_from_slide_to_types(command: Command, svs_slide: Path, model_file: Path, tmp_path: Path) -> None:
    out, types = tmp_path / "out", tmp_path / "types.json"
    done = command("predict", svs_slide, "-m", model_file, "-o", out, "--measurements", "all", "-q")
    assert done.returncode == 0, done.stderr
    done = command("types", "fit", out, "-k", 3, "-o", types)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"3 types in {types}; adjusted Rand of bootstraps by number: 3: ")
    done = command("types", "apply", out, "-t", types)
    assert done.returncode == 0, done.stderr
    assert pd.read_parquet(out / "slide.parquet")["class"].value_counts().to_dict().keys() <= {
        "type 1", "type 2", "type 3",
    }  # fmt: skip
    assert done.stdout.startswith("slide: type 1 ")
    assert command("report", out).returncode == 0
    page = (out / "report" / "slide" / "index.html").read_text()
    assert "type 3" in page
    done = command("types", "fit", tmp_path / "types.json")
    assert done.returncode == 2
    assert "no tables of finished slides" in done.stderr
