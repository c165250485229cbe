"""Plain images of every kind: right pixels, or refused in words."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from small_slides import picture

from wsiseg.errors import SlideError
from wsiseg.slides import open_slide

PIXELS = picture(61, 83)
GREY = PIXELS[..., 0]


def png(width: int, height: int, samples: np.ndarray, depth: int = 8, colour: int = 2) -> bytes:
    """Write a PNG by hand; the header may promise more than there is."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    lines = zlib.compress(b"".join(b"\0" + row.tobytes() for row in samples))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def whole(path: Path) -> np.ndarray:
    with open_slide(path) as slide:
        return slide.read_region(0, 0, 0, *slide.dimensions)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "ppm"])
def test_lossless_rgb(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PIXELS).save(path, **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(whole(path), PIXELS)
    assert open_slide(path).mpp is None


def test_jpeg_and_its_resolution_is_not_believed(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", quality=95, dpi=(101600, 101600))
    Image.fromarray(PIXELS).save(tmp_path / "a.png", dpi=(101600, 101600))
    assert np.abs(whole(tmp_path / "a.jpg").astype(int) - PIXELS).mean() < 4
    assert open_slide(tmp_path / "a.jpg").mpp is None
    assert open_slide(tmp_path / "a.png").mpp is None


def test_grey_and_bilevel(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(whole(tmp_path / "grey.png"), np.repeat(GREY[..., None], 3, -1))
    tifffile.imwrite(tmp_path / "inverse.tif", 255 - GREY, photometric="miniswhite", tile=(32, 32))
    np.testing.assert_array_equal(whole(tmp_path / "inverse.tif"), np.repeat(GREY[..., None], 3, -1))
    Image.fromarray(GREY > 128).save(tmp_path / "two.png")
    np.testing.assert_array_equal(whole(tmp_path / "two.png")[..., 1], np.where(GREY > 128, 255, 0))


def test_alpha_is_composed_on_white(tmp_path: Path) -> None:
    alpha = np.zeros(GREY.shape, np.uint8)
    alpha[:20], alpha[20:40] = 255, 128
    expected = PIXELS.astype(int)
    expected[20:40] = np.rint((PIXELS[20:40] * 128.0 + 255 * 127) / 255)
    expected[40:] = 255
    rgba = np.dstack([PIXELS, alpha])
    Image.fromarray(rgba).save(tmp_path / "a.png")
    np.testing.assert_array_equal(whole(tmp_path / "a.png"), expected)
    tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"], tile=(32, 32))
    np.testing.assert_array_equal(whole(tmp_path / "a.tif"), expected)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_palettes(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(PIXELS).quantize(32)
    image.save(tmp_path / f"p.{suffix}")
    np.testing.assert_array_equal(whole(tmp_path / f"p.{suffix}"), np.asarray(image.convert("RGB")))


def test_a_transparent_palette_entry_is_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "L").convert("P")
    image.putpalette([200, 0, 0, 0, 100, 0])
    image.save(tmp_path / "p.png", transparency=1)
    assert whole(tmp_path / "p.png").tolist() == [[[200, 0, 0], [255] * 3], [[255] * 3, [200, 0, 0]]]


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_scaled(tmp_path: Path, suffix: str, channels: int) -> None:
    deep = (PIXELS if channels == 3 else GREY).astype(np.uint16) * 257
    path = tmp_path / f"deep.{suffix}"
    if suffix == "png":
        path.write_bytes(
            png(deep.shape[1], deep.shape[0], deep.astype(">u2"), depth=16, colour=2 if channels == 3 else 0)
        )
    else:
        tifffile.imwrite(path, deep, photometric="rgb" if channels == 3 else "minisblack")
    np.testing.assert_array_equal(whole(path), PIXELS if channels == 3 else np.repeat(GREY[..., None], 3, -1))
    assert "16-bit" in open_slide(path).warnings[0]


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_is_converted(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(PIXELS).convert("CMYK")
    image.save(tmp_path / f"c.{suffix}", **({"quality": 98} if suffix == "jpg" else {}))
    assert np.abs(whole(tmp_path / f"c.{suffix}").astype(int) - PIXELS).mean() < 4


def test_floats_are_refused_in_words(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "f.tif", np.zeros((30, 40), np.float32))
    with pytest.raises(SlideError, match="8-bit"):
        open_slide(tmp_path / "f.tif")


def test_of_an_animation_the_first_frame_is_read(tmp_path: Path) -> None:
    frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    frames[0].save(tmp_path / "moving.png", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(whole(tmp_path / "moving.png"), PIXELS)
    assert "2 frames" in open_slide(tmp_path / "moving.png").warnings[0]


@pytest.mark.parametrize(
    ("width", "height"), [(1_000_000, 1_000_000), (10_000, 9_000), (2**31 - 1, 1), (30_000, 30_000)]
)
def test_bombs_are_refused_by_their_header(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(width, height, np.zeros((10, 10), np.uint8)))
    with pytest.raises(SlideError) as caught:
        open_slide(path)
    assert "\n" not in str(caught.value)


def test_half_a_picture_is_refused(tmp_path: Path) -> None:
    for suffix in ("png", "jpg"):
        Image.fromarray(picture(300, 300)).save(tmp_path / f"whole.{suffix}")
        data = (tmp_path / f"whole.{suffix}").read_bytes()
        (tmp_path / f"half.{suffix}").write_bytes(data[: len(data) // 2])
        with pytest.raises(SlideError, match="image: "):
            open_slide(tmp_path / f"half.{suffix}")
