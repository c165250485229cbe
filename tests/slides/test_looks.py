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
from wsiseg.slides.looks import brown_share, dab_remark, no_he, odd_looks
from wsiseg.slides.overview import read_overview
from wsiseg.slides.sampling import sample_tissue
from wsiseg.slides.tissue_finder import find_tissue
from wsiseg.slides.view import SlideView

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


def of_stains(haematoxylin: float, eosin: float, dab: float) -> tuple[int, int, int]:
    """Return the colour of three stains of these optical densities."""
    vectors = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    light = 256 * 10 ** -(np.array([haematoxylin, eosin, dab]) @ vectors) - 1
    red, green, blue = np.rint(light).astype(int).tolist()
    return red, green, blue


def test_dab_is_told_from_haematoxylin_and_eosin() -> None:
    tissue = plain(of_stains(0.1, 0.4, 0), 3)
    tissue[:20] = of_stains(0.7, 0.2, 0)
    assert brown_share(tissue) == 0
    tissue[20:26] = of_stains(0.2, 0, 0.8)
    assert brown_share(tissue) == pytest.approx(6 / 60)


def test_what_is_said_of_dab() -> None:
    assert dab_remark(0.04) == ()
    (text,) = dab_remark(0.37)
    assert text.startswith("37 % of its tissue is brown, as DAB is (or pigment)")


def test_glass_is_not_brown() -> None:
    assert brown_share(np.array([[245, 240, 225]], np.uint8)) == 0


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


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("images", "mpp", "is_brown"),
    [
        ("monuseg/images/*", 0.25, False),
        ("consep/images/*", 0.25, False),
        ("free/tcga*", 0.25, False),
        ("slides/CMU*", 0.499, False),
        ("ihc/images/epcam*", 0.5, True),
        ("ihc/images/ki67*", 0.25, True),
    ],
)
def test_the_stain_of_real_fields(shared_data: Path, images: str, mpp: float, is_brown: bool) -> None:
    for path in sorted(shared_data.glob(images))[::3]:
        with open_slide(path) as slide:
            view = SlideView(slide, 0.5, mpp, forced=True)
            sample = sample_tissue(view, find_tissue(slide, TissueConfig(), mpp))
        assert bool(dab_remark(brown_share(sample))) == is_brown, path.name


@pytest.mark.slow
def test_predict_says_that_a_slide_is_brown(tmp_path: Path, command: Command) -> None:
    tissue = plain(of_stains(0.3, 0, 0), 6).repeat(4, 0).repeat(4, 1)
    tissue[100:160] = of_stains(0.2, 0, 0.8)
    Image.fromarray(tissue).save(tmp_path / "brown.png")
    done = command("predict", tmp_path / "brown.png", "-o", tmp_path / "out", "--slide-mpp", "0.5")
    assert done.returncode == 0, done.stderr
    assert "of its tissue is brown, as DAB is" in summary(tmp_path / "out")["brown"]["warnings"]
