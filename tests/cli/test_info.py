"""`wsiseg info`."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from wsiseg.cli.main import cli


def test_info_says_what_predict_would_do(
    svs_slide: Path, small_slide: Path, model_file: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.svs"
    bad.write_text("not a slide")
    done = CliRunner().invoke(
        cli, ["info", str(svs_slide), str(small_slide), str(bad), "-m", str(model_file), "--json"]
    )
    assert done.exit_code == 1, done.output
    slide, picture, broken = json.loads(done.stdout)
    assert (slide["reader"], slide["width_l0"], slide["height_l0"], slide["mpp"]) == (
        "openslide",
        1500,
        1180,
        0.25,
    )
    assert slide["levels"] == [[1500, 1180, 1.0], [375, 295, 4.0]]
    assert 0.2 < slide["tissue_share"] < 0.9
    assert 0 < slide["megapixels"] <= 1.77
    assert slide["seconds"] > 0
    assert slide["error"] is None
    assert "--slide-mpp" in picture["error"]
    assert picture["width_l0"] == 460
    assert "no reader" in broken["error"]


def test_info_in_words(svs_slide: Path, model_file: Path) -> None:
    done = CliRunner().invoke(cli, ["info", str(svs_slide), "-m", str(model_file)])
    assert done.exit_code == 0, done.output
    for text in ("1,500 x 1,180 px", "downsample 4", "0.2500 um per pixel", "mm2", "MP at 0.25 um per pixel"):
        assert text in done.output
