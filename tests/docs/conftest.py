"""A folder with what the pages take for granted: slides, drawn/, photo.png, labels/, out/ and run/."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from pages import SHORT_FIT

from wsiseg.cli.main import cli


@pytest.fixture(scope="session")
def bare_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated slides and files under the names that the pages use; nothing computed yet."""
    import numpy as np
    from PIL import Image

    from wsiseg.synthetic import SyntheticSlide, write_synthetic, write_synthetic_image

    world = tmp_path_factory.mktemp("bare")
    slide = SyntheticSlide(720, 600, seed=3, tissue_share=0.7, pen=False, stain_variation=0.0)
    for folder in ("slides", "more", "labels", "others", "notes"):
        (world / folder).mkdir()
    write_synthetic(world / "slide.svs", slide, levels=(4,), workers=1)
    shutil.copy(world / "slide.svs", world / "slides" / "a.svs")
    other = SyntheticSlide(600, 560, seed=4, tissue_share=0.8, pen=False, stain_variation=0.0)
    write_synthetic(world / "slides" / "b.svs", other, levels=(4,), workers=1)
    shutil.copy(world / "slide.svs", world / "more" / "old.ndpi")
    write_synthetic_image(world / "photo.png", slide)
    labels = Image.fromarray(slide.truth(slide.frame).astype(np.uint16))
    labels.save(world / "labels" / "slide.png")
    labels.save(world / "labels" / "a.png")
    labels.save(world / "others" / "unlike.png")
    (world / "drawn").mkdir()
    square = [[200, 100], [500, 100], [500, 400], [200, 400], [200, 100]]
    geometry = json.dumps({"type": "Polygon", "coordinates": [square]})
    for name in "ab":
        (world / "drawn" / f"{name}.geojson").write_text(geometry)
    (world / "list.csv").write_text("slide,mpp\nphoto.png,0.25\nslide.svs,\n")
    (world / "paths.csv").write_text("slide.svs\nphoto.png\n")
    (world / "notes" / "readme.txt").write_text("nothing\n")
    (world / "mine").mkdir()
    (world / "mine" / "slide.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    (world / "scan.mrxs").write_bytes(b"\xff\xd8\xff")
    (world / "scan.isyntax").write_bytes(b"<DataObject")
    (world / "letter.svs").write_text("Dear colleague,\n")
    data = (world / "slide.svs").read_bytes()
    (world / "cut.svs").write_bytes(data[: len(data) // 2])
    return world


@pytest.fixture(scope="session")
def world(bare_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after `wsiseg predict slide.svs -o out` and a short `wsiseg fit slides/ -o run`."""
    whole = tmp_path_factory.mktemp("world") / "world"
    shutil.copytree(bare_world, whole)
    predict = ["predict", str(whole / "slide.svs"), "-o", str(whole / "out"), "-q"]
    fit = ["fit", str(whole / "slides"), "-o", str(whole / "run"), "-q", *SHORT_FIT]
    for arguments in (predict, fit):
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, done.output
    return whole
