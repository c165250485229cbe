"""What `predict` does with a slide and a user that disagree on the resolution: never in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import wsiseg


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory, small_slide: Path) -> Path:
    """A TIFF of the small slide's pixels that says 0.25 um."""
    path = tmp_path_factory.mktemp("tiff") / "says.tif"
    pixels = np.asarray(Image.open(small_slide).convert("RGB"))
    tag = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(256, 256), metadata=None, **tag)
    return path


@pytest.mark.parametrize(
    ("forced", "mpp", "nuclei", "says"),
    [
        (False, 0.25, True, "--slide-mpp says 0.5 um per pixel, its resolution tag 0.25; 0.25 was taken"),
        (True, 0.5, False, "its resolution tag says 0.25 um per pixel, --slide-mpp 0.5; 0.5 was taken"),
    ],
)
def test_the_slide_is_taken_unless_the_user_insists(
    slide: Path, model_file: Path, tmp_path: Path, forced: bool, mpp: float, nuclei: bool, says: str
) -> None:
    plain = wsiseg.predict(slide, tmp_path / "plain", model_file)[0]
    report = wsiseg.predict(slide, tmp_path / "out", model_file, slide_mpp=0.5, force_slide_mpp=forced)[0]
    assert plain.warnings == ""
    assert says in report.warnings
    assert (report.nuclei == plain.nuclei) == nuclei
    assert report.tissue_mm2 == pytest.approx(plain.tissue_mm2 * (mpp / 0.25) ** 2, rel=0.1)


def test_a_picture_of_one_colour_is_said_to_be_one(model_file: Path, tmp_path: Path) -> None:
    Image.new("RGB", (300, 260)).save(tmp_path / "black.png")
    (report,) = wsiseg.predict(tmp_path / "black.png", tmp_path / "out", model_file, slide_mpp=0.25)
    assert report.state == "done"
    assert "one colour all over (0, 0, 0)" in report.warnings
