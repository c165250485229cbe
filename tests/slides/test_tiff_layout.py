"""Which picture of a TIFF is level 0, which are its levels, and what its samples mean, for every reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from small_slides import halved, picture, write_tiff

from wsiseg.errors import SlideError
from wsiseg.slides import open_slide

PIXELS = picture(150, 210)
PLAIN = {"photometric": "rgb", "tile": (64, 64), "compression": "deflate", "metadata": None}
MPP_25 = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}


def whole(path: Path, reader: str = "auto") -> np.ndarray:
    with open_slide(path, reader) as slide:
        return slide.read_region(0, 0, 0, *slide.dimensions)


def ome(axes: str, **more: object) -> dict[str, object]:
    size = {f"PhysicalSize{axis}": 0.5 for axis in "XY"}
    return {"axes": axes, **size, "PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm", **more}


@pytest.mark.parametrize("reader", ["openslide", "tiffslide"])
def test_a_padded_level_is_left_out_and_named(tmp_path: Path, reader: str) -> None:
    padded = np.full((128, 128, 3), 255, np.uint8)
    padded[:75, :105] = halved(PIXELS, 2)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(PIXELS, subfiletype=0, **PLAIN, **MPP_25)
        writer.write(padded, subfiletype=1, **PLAIN)
        writer.write(halved(PIXELS, 3), subfiletype=1, **PLAIN)
    slide = open_slide(tmp_path / "a.tif", reader)
    assert slide.level_dimensions == ((210, 150), (70, 50))
    assert slide.level_downsamples == (1.0, 3.0)
    assert "128 x 128) is left out" in slide.warnings[0]
    np.testing.assert_array_equal(slide.read_region(5, 6, 1, 40, 30), halved(PIXELS, 3)[6:36, 5:45])


def test_the_largest_image_of_an_ome_tiff_is_level_0(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        writer.write(halved(PIXELS, 5), photometric="rgb", tile=(16, 16), metadata=ome("YXS", Name="macro"))
        size = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
        writer.write(PIXELS, photometric="rgb", tile=(64, 64), metadata={**ome("YXS", Name="scan"), **size})
    slide = open_slide(tmp_path / "a.ome.tif")
    assert slide.level_dimensions == ((210, 150),)
    assert slide.mpp == pytest.approx(0.25)
    assert "42 x 30" in slide.warnings[0]
    np.testing.assert_array_equal(whole(tmp_path / "a.ome.tif"), PIXELS)


def test_the_largest_page_of_a_plain_tiff_is_level_0(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(halved(PIXELS, 5), **{**PLAIN, "tile": (16, 16)}, **MPP_25)
        writer.write(PIXELS, **PLAIN, **MPP_25)
    np.testing.assert_array_equal(whole(tmp_path / "a.tif"), PIXELS)
    with pytest.raises(SlideError, match="largest picture is 210 x 150"):
        open_slide(tmp_path / "a.tif", "openslide")


def test_a_second_page_of_the_same_size_is_said_to_be_left_out(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(PIXELS, **PLAIN, **MPP_25)
        writer.write(255 - PIXELS, **PLAIN, **MPP_25)
    assert any("2 pages" in warning for warning in open_slide(tmp_path / "a.tif").warnings)
    np.testing.assert_array_equal(whole(tmp_path / "a.tif"), PIXELS)


@pytest.mark.parametrize("axes", ["ZYXS", "TYXS"])
def test_declared_stacks_are_refused_by_every_reader(tmp_path: Path, axes: str) -> None:
    stack = np.stack([np.full_like(PIXELS, 245), PIXELS])
    options = {"photometric": "rgb", "tile": (64, 64), "ome": True, "metadata": ome(axes)}
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, **options)
    for reader in ("auto", "openslide", "image"):
        with pytest.raises(SlideError, match="2 planes"):
            open_slide(tmp_path / "a.ome.tif", reader)


@pytest.mark.parametrize("tile", [(64, 64), None])
def test_red_green_and_blue_as_pages_are_joined(tmp_path: Path, tile: tuple[int, int] | None) -> None:
    planes = np.moveaxis(PIXELS, -1, 0)
    options = {"photometric": "minisblack", "tile": tile, "ome": True, "metadata": ome("CYX")}
    tifffile.imwrite(tmp_path / "a.ome.tif", planes, **options)
    slide = open_slide(tmp_path / "a.ome.tif")
    assert slide.mpp == pytest.approx(0.5)
    assert "red, green and blue" in slide.warnings[0]
    np.testing.assert_array_equal(whole(tmp_path / "a.ome.tif"), PIXELS)
    np.testing.assert_array_equal(whole(tmp_path / "a.ome.tif", "image"), PIXELS)


def test_three_channels_of_other_names_are_refused(tmp_path: Path) -> None:
    planes = np.moveaxis(PIXELS, -1, 0)
    names = {"Channel": {"Name": ["DAPI", "FITC", "Cy5"]}}
    options = {"photometric": "minisblack", "ome": True, "metadata": ome("CYX", **names)}
    tifffile.imwrite(tmp_path / "a.ome.tif", planes, tile=(64, 64), **options)
    with pytest.raises(SlideError, match="DAPI"):
        open_slide(tmp_path / "a.ome.tif")


def test_three_grey_pages_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for colour in range(3):
            writer.write(PIXELS[..., colour], tile=(64, 64), photometric="minisblack", metadata=None)
    with pytest.raises(SlideError, match="3 planes"):
        open_slide(tmp_path / "a.tif")


@pytest.mark.parametrize("tile", [64, None])
@pytest.mark.parametrize("reader", ["auto", "tiffslide", "image"])
def test_colours_in_separate_planes_of_a_page(tmp_path: Path, tile: int | None, reader: str) -> None:
    planes = np.moveaxis(PIXELS, -1, 0)
    options = {"planarconfig": "separate", "photometric": "rgb", "compression": "deflate", **MPP_25}
    write_tiff(tmp_path / "a.tif", planes, tile, **options)
    np.testing.assert_array_equal(whole(tmp_path / "a.tif", reader), PIXELS)
    assert open_slide(tmp_path / "a.tif", reader).mpp == pytest.approx(0.25)


@pytest.mark.parametrize("value", [0, 128])
@pytest.mark.parametrize("tile", [64, None])
def test_a_fourth_sample_that_is_no_alpha_is_left_out(tmp_path: Path, value: int, tile: int | None) -> None:
    samples = np.dstack([PIXELS, np.full(PIXELS.shape[:2], value, np.uint8)])
    write_tiff(tmp_path / "a.tif", samples, tile, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(whole(tmp_path / "a.tif"), PIXELS)
    assert "neither colour nor alpha" in open_slide(tmp_path / "a.tif").warnings[0]
    with pytest.raises(SlideError, match="neither colour nor alpha" if tile else "openslide"):
        open_slide(tmp_path / "a.tif", "openslide")


@pytest.mark.parametrize("reader", ["openslide", "tiffslide", "image"])
@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_alpha_is_composed_on_white_as_it_says(tmp_path: Path, reader: str, kind: str) -> None:
    alpha = np.full(PIXELS.shape[:2], 255, np.uint8)
    alpha[:50] = 128
    share = alpha[..., None] / 255
    stored = PIXELS if kind == "unassalpha" else np.rint(PIXELS * share).astype(np.uint8)
    write_tiff(tmp_path / "a.tif", np.dstack([stored, alpha]), 64, photometric="rgb", extrasamples=[kind])
    expected = PIXELS * share + 255 * (1 - share)
    assert np.abs(whole(tmp_path / "a.tif", reader) - expected).max() < 3


def test_imagej_and_ome_say_the_resolution_of_plain_images_too(tmp_path: Path) -> None:
    options = {"photometric": "rgb", "resolution": (2, 2), "metadata": {"unit": "micron", "axes": "YXS"}}
    tifffile.imwrite(tmp_path / "ij.tif", PIXELS, imagej=True, **options)
    tifffile.imwrite(tmp_path / "a.ome.tif", PIXELS, photometric="rgb", metadata=ome("YXS"))
    for name in ("ij.tif", "a.ome.tif"):
        for reader in ("tiffslide", "image"):
            assert open_slide(tmp_path / name, reader).mpp == pytest.approx(0.5)


@pytest.mark.parametrize("reader", ["openslide", "tiffslide"])
def test_a_scanner_s_header_without_mpp_leaves_the_tags(tmp_path: Path, reader: str) -> None:
    text = "Aperio Image Library v11.2.1\r\n210x150 (64x64) JPEG/RGB Q=100|AppMag = 20"
    tag = {"resolution": (20040, 20040), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(tmp_path / "a.svs") as writer:
        writer.write(PIXELS, **{**PLAIN, "compression": "jpeg"}, description=text, **tag)
    slide = open_slide(tmp_path / "a.svs", reader)
    assert slide.mpp == pytest.approx(0.499, rel=1e-4)
    assert [str(s) for s in slide.facts.statements] == [
        "its resolution tag: 0.499 um per pixel",
        "its objective power (20x): about 0.5 um per pixel",
    ]


@pytest.mark.parametrize(("tag", "name"), [(8, "CIELAB"), (9, "ICCLAB"), (10, "ITULAB")])
def test_colours_that_are_no_rgb_are_refused_on_opening(tmp_path: Path, tag: int, name: str) -> None:
    path = tmp_path / "lab.tif"
    tifffile.imwrite(path, picture(150, 210), photometric="rgb", tile=(64, 64), metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages.first.tags[262].overwrite(tag)
    for reader in ("auto", "openslide", "tiffslide", "image"):
        with pytest.raises(SlideError, match=name):
            open_slide(path, reader)
