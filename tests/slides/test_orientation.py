"""All eight orientations, for tiled TIFF, plain TIFF and photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from small_slides import halved, picture

from wsiseg.errors import SlideError
from wsiseg.slides import open_slide
from wsiseg.slides.orientation import shown_size, stored_box, upright
from wsiseg.tiles import Box

PIXELS = picture(150, 210)
# TIFF 6.0, page 36: where row 0 and column 0 of the stored picture are shown
SHOWN = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a[:, ::-1], -1),
    8: lambda a: np.rot90(a),
}


def write_turned(path: Path, orientation: int, tile: int | None) -> NDArray[np.uint8]:
    """Write a pyramid of two levels with the tag, and return level 0 as it is meant."""
    options: dict[str, object] = {"photometric": "rgb", "metadata": None, "compression": "deflate"}
    options["extratags"] = [(274, "H", 1, orientation, True)]
    if tile is not None:
        options["tile"] = (tile, tile)
    with tifffile.TiffWriter(path) as writer:
        writer.write(PIXELS, subfiletype=0, resolution=(40000, 40000), resolutionunit="CENTIMETER", **options)
        writer.write(halved(PIXELS, 2), subfiletype=1, **options)
    return np.ascontiguousarray(SHOWN[orientation](PIXELS))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("tile", [64, None])
def test_the_whole_picture_is_turned(tmp_path: Path, orientation: int, tile: int | None) -> None:
    meant = write_turned(tmp_path / "a.tif", orientation, tile)
    slide = open_slide(tmp_path / "a.tif")
    height, width = meant.shape[:2]
    assert slide.dimensions == (width, height)
    assert slide.mpp == pytest.approx(0.25)
    np.testing.assert_array_equal(slide.read_region(0, 0, 0, width, height), meant)
    np.testing.assert_array_equal(slide.read_region(31, 17, 0, 90, 70), meant[17:87, 31:121])
    if tile is not None:
        small = SHOWN[orientation](halved(PIXELS, 2))
        np.testing.assert_array_equal(slide.read_region(5, 9, 1, 40, 30), small[9:39, 5:45])


def test_openslide_leaves_a_turned_tiff_to_the_others(tmp_path: Path) -> None:
    write_turned(tmp_path / "a.tif", 3, 64)
    with pytest.raises(SlideError, match="orientation tag is 3"):
        open_slide(tmp_path / "a.tif", "openslide")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_photographs_say_it_in_exif(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(PIXELS).save(tmp_path / f"a.{suffix}", exif=exif, quality=95)
    meant = SHOWN[orientation](PIXELS)
    slide = open_slide(tmp_path / f"a.{suffix}")
    region = slide.read_region(0, 0, 0, meant.shape[1], meant.shape[0])
    assert np.abs(region.astype(int) - meant).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_and_pixels_turn_alike(orientation: int) -> None:
    meant = SHOWN[orientation](PIXELS)
    shown = shown_size((210, 150), orientation)
    assert shown == (meant.shape[1], meant.shape[0])
    box = Box(20, 35, 61, 97)
    stored = stored_box(box, shown, orientation)
    np.testing.assert_array_equal(
        upright(PIXELS[stored.y0 : stored.y1, stored.x0 : stored.x1], orientation), meant[35:97, 20:61]
    )
