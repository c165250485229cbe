"""What is no stained tissue on glass is said in words; what is, is left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import Command
from outputs import summary
from PIL import Image

from wsiseg.config import TissueConfig
from wsiseg.errors import SlideError
from wsiseg.slides import open_slide
from wsiseg.slides.looks import no_he, odd_looks
from wsiseg.slides.overview import read_overview
from wsiseg.slides.tissue_finder import find_tissue

RNG = np.random.default_rng(0)
SHAPE = (60, 80)


def plain(colour: tuple[int, int, int], noise: float = 0.0) -> np.ndarray:
    pixels = np.full((*SHAPE, 3), colour, float) + RNG.normal(0, noise, (*SHAPE, 3))
    return pixels.clip(0, 255).round().astype(np.uint8)


def looks(pixels: np.ndarray, has_tissue: bool = False) -> str:
    return "; ".join(odd_looks(pixels, np.ones(pixels.shape[:2], bool), has_tissue))


@pytest.mark.parametrize("colour", [(0, 0, 0), (128, 128, 128), (255, 255, 255), (200, 150, 90)])
def test_one_colour_all_over(colour: tuple[int, int, int]) -> None:
    assert f"one colour all over {colour}" in looks(plain(colour))


def test_a_grey_image() -> None:
    grey = RNG.integers(60, 240, (*SHAPE, 1)).astype(np.uint8)
    assert "no colour" in looks(np.repeat(grey, 3, -1), has_tissue=True)


def dark(pixels: np.ndarray, has_tissue: bool = False) -> bool:
    return "dark" in no_he(pixels, np.ones(pixels.shape[:2], bool), has_tissue)


@pytest.mark.parametrize("channels", [(2,), (1,), (0, 1, 2), (1, 2)])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.35])
@pytest.mark.parametrize("ground", [0, 12, 40])
def test_fluorescence_is_dark(channels: tuple[int, ...], share: float, ground: int) -> None:
    seen = np.full((*SHAPE, 3), ground, np.uint8)
    light = np.where(RNG.random(SHAPE) < share, RNG.integers(60, 220, SHAPE), ground)
    seen[..., list(channels)] = light[..., None]
    assert dark(seen)


def test_an_inverted_image_is_dark() -> None:
    assert dark(255 - plain((240, 238, 242), 6))


def test_dense_tissue_and_a_slide_of_which_little_was_scanned_are_not() -> None:
    assert not dark(plain((120, 40, 110), 10), has_tissue=True)
    pixels = np.zeros((*SHAPE, 3), np.uint8)
    pixels[:10, :20] = plain((170, 100, 160), 15)[:10, :20]
    assert not dark(pixels, has_tissue=True)
    pixels[:10, :20] = plain((240, 238, 242), 3)[:10, :20]
    assert not dark(pixels)
    assert not dark(np.zeros((*SHAPE, 3), np.uint8))


def test_coloured_glass_without_tissue() -> None:
    assert "does not look like glass" in looks(plain((190, 160, 90), 4))
    assert looks(plain((236, 232, 238), 4)) == ""
    assert looks(plain((205, 205, 208), 4)) == ""


def test_tissue_on_a_slide_of_which_most_was_not_scanned() -> None:
    pixels = np.zeros((*SHAPE, 3), np.uint8)
    pixels[:20, :20] = plain((240, 238, 242), 3)[:20, :20]
    pixels[5:15, 5:15] = plain((190, 120, 180), 20)[5:15, 5:15]
    assert looks(pixels, has_tissue=True) == ""


@pytest.mark.real_data
def test_real_slides_and_fields_look_as_they_should(shared_data: Path) -> None:
    names = ("slides/*.svs", "free/*", "monuseg/images/*", "consep/images/*", "ihc/images/*")
    for path in (p for name in names for p in sorted(shared_data.glob(name))[::3]):
        overview = read_overview(open_slide(path), 16)
        assert odd_looks(overview.rgb, overview.known, True) == (), path
        assert not no_he(overview.rgb, overview.known, True), path


@pytest.fixture(scope="module")
def dapi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright discs on black, as of one fluorescent stain."""
    y, x = np.mgrid[:40, :40] - 19.5
    grey = np.tile(np.where(np.hypot(x, y) < 9, 170, 3), (8, 10)).astype(np.uint8)
    path = tmp_path_factory.mktemp("dapi") / "dapi.png"
    Image.fromarray(grey).save(path)
    return path


@pytest.mark.parametrize("config", [TissueConfig(), TissueConfig(detect=False)])
def test_it_is_refused_unless_accepted_and_then_warned_of(dapi: Path, config: TissueConfig) -> None:
    with open_slide(dapi) as slide:
        with pytest.raises(SlideError, match=r"mostly dark.*--accept-odd"):
            find_tissue(slide, config, 0.5)
        found = find_tissue(slide, replace(config, accept_odd=True), 0.5)
    assert any("mostly dark" in remark for remark in found.remarks)


def test_a_slide_is_looked_at_whoever_says_where_its_tissue_is(tmp_path: Path) -> None:
    Image.new("L", (300, 200), 128).save(tmp_path / "grey.png")
    Image.new("L", (30, 20), 255).save(tmp_path / "mask.png")
    with open_slide(tmp_path / "grey.png") as slide:
        for config in (TissueConfig(detect=False), TissueConfig(mask=str(tmp_path / "mask.png"))):
            (remark,) = find_tissue(slide, config, 0.5).remarks
            assert "one colour all over (128, 128, 128)" in remark


@pytest.mark.slow
def test_on_the_command_line(command: Command, dapi: Path, model_file: Path, tmp_path: Path) -> None:
    arguments = ("predict", dapi, "-m", model_file, "-o", tmp_path, "--slide-mpp", "0.5")
    done = command(*arguments)
    assert done.returncode == 1
    assert "it is mostly dark: fluorescence or an inverted image is no H&E; --accept-odd" in done.stderr
    assert command("info", dapi, "--slide-mpp", "0.5").returncode == 1
    done = command(*arguments, "--accept-odd")
    assert done.returncode == 0, done.stderr
    assert "mostly dark" in summary(tmp_path)["dapi"]["warnings"]
