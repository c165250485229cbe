"""Bad input: each a clear one-line cause, and nothing invented, hung or allocated for it."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from small_slides import picture, write_svs, write_tiff

from wsiseg.errors import SlideError
from wsiseg.slides import open_slide
from wsiseg.slides.overview import read_overview

READERS = ("openslide", "tiffslide")


def refused(path: str | Path, reader: str = "auto") -> str:
    """Return the one line that says why a slide is refused."""
    with pytest.raises(SlideError) as caught:
        open_slide(path, reader)
    line = str(caught.value)
    assert line.startswith(str(path))
    assert "\n" not in line.removeprefix(str(path))
    assert len(line) < 900
    return line.removeprefix(str(path))


@pytest.fixture(scope="module")
def tiles_of(svs: Path) -> tuple[list[int], list[int]]:
    with tifffile.TiffFile(svs) as tiff:
        return list(tiff.pages[0].dataoffsets), list(tiff.pages[0].databytecounts)


def test_plain_causes(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "none.svs")
    (tmp_path / "empty.svs").touch()
    assert "is empty" in refused(tmp_path / "empty.svs")
    (tmp_path / "text.svs").write_text("this is not a slide\n" * 10)
    assert refused(tmp_path / "text.svs").endswith("it is a text file")
    (tmp_path / "noise.svs").write_bytes(b"\x01\x02\x03\x04" * 99)
    text = refused(tmp_path / "noise.svs")
    assert all(f"{name}: " in text for name in ("openslide", "tiffslide", "image"))
    (tmp_path / "link.svs").symlink_to(tmp_path / "gone.svs")
    assert "points to nothing" in refused(tmp_path / "link.svs")
    (tmp_path / "folder.svs").mkdir()
    assert "folder" in refused(tmp_path / "folder.svs")
    (tmp_path / "zip.svs").write_bytes(b"PK\x03\x04" + bytes(100))
    assert "archive" in refused(tmp_path / "zip.svs")
    os.mkfifo(tmp_path / "pipe.svs")
    assert "regular" in refused(tmp_path / "pipe.svs")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permission_denied(svs: Path, tmp_path: Path) -> None:
    path = tmp_path / "secret.svs"
    path.write_bytes(svs.read_bytes())
    path.chmod(0)
    assert "ermission" in refused(path)


@pytest.mark.parametrize(
    "name",
    ["a slide.svs", 'it\'s "one".svs', "new\nline.svs", "schnitt-\u00e4\u4e16.svs", "-rf.svs", "a%20#?.svs"],
)
@pytest.mark.parametrize("reader", READERS)
def test_odd_names_and_links_open(svs: Path, tmp_path: Path, name: str, reader: str) -> None:
    path = tmp_path / name
    path.symlink_to(svs)
    assert open_slide(path, reader).dimensions == (901, 703)


def test_wrong_suffix_opens_by_content(svs: Path, tmp_path: Path) -> None:
    path = tmp_path / "slide.png"
    path.write_bytes(svs.read_bytes())
    assert open_slide(path).dimensions == (901, 703)


@pytest.mark.parametrize("part", [0.001, 0.05, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("reader", [*READERS, "auto"])
def test_a_truncated_slide_is_refused_or_its_lost_tiles_raise(
    svs: Path, tmp_path: Path, part: float, reader: str
) -> None:
    raw = svs.read_bytes()
    path = tmp_path / "cut.svs"
    path.write_bytes(raw[: int(len(raw) * part)])
    try:
        slide = open_slide(path, reader)
    except SlideError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    whole = open_slide(svs, slide.reader)
    for x in range(0, 901, 256):
        for y in range(0, 703, 256):
            try:
                region = slide.read_region(x, y, 0, 256, 256)
            except SlideError:
                continue
            np.testing.assert_array_equal(region, whole.read_region(x, y, 0, 256, 256))


def zeroed(tile: bytearray) -> None:
    tile[:] = bytes(len(tile))


def ends_early(tile: bytearray) -> None:
    tile[len(tile) // 2 :] = bytes(len(tile) - len(tile) // 2)


def end_in_the_middle(tile: bytearray) -> None:
    tile[len(tile) // 3 : len(tile) // 3 + 2] = b"\xff\xd9"


def noise(tile: bytearray) -> None:
    tile[:] = np.random.default_rng(0).bytes(len(tile))


def huge(tile: bytearray) -> None:
    at = tile.find(b"\xff\xc0")
    tile[at + 5 : at + 9] = struct.pack(">HH", 65000, 65000)


@pytest.mark.parametrize("damage", [zeroed, ends_early, end_in_the_middle, noise, huge])
@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_tile_raises_with_its_place_and_others_are_read_on(
    svs: Path,
    tiles_of: tuple[list[int], list[int]],
    tmp_path: Path,
    reader: str,
    damage: Callable[[bytearray], None],
) -> None:
    offset, count = tiles_of[0][1], tiles_of[1][1]
    raw = bytearray(svs.read_bytes())
    tile = raw[offset : offset + count]
    damage(tile)
    raw[offset : offset + count] = tile
    path = tmp_path / "damaged.svs"
    path.write_bytes(bytes(raw))
    slide, whole = open_slide(path, reader), open_slide(svs, reader)
    for _ in range(2):
        with pytest.raises(SlideError, match=r"level 0, x 250\.\.300, y 10\.\.60 cannot be decoded"):
            slide.read_region(250, 10, 0, 50, 50)
        np.testing.assert_array_equal(
            slide.read_region(600, 10, 0, 200, 500), whole.read_region(600, 10, 0, 200, 500)
        )
        np.testing.assert_array_equal(
            slide.read_region(0, 300, 0, 901, 300), whole.read_region(0, 300, 0, 901, 300)
        )


def hole(tile: bytearray) -> None:
    middle = len(tile) // 2
    tile[middle : middle + 2048] = bytes(len(tile[middle : middle + 2048]))


@pytest.mark.parametrize("damage", [zeroed, ends_early, end_in_the_middle, hole])
@pytest.mark.parametrize("compression", ["aperio_jp2000_rgb", "deflate"])
@pytest.mark.parametrize("reader", READERS)
def test_no_reader_makes_up_pixels_of_a_tile_that_is_not_whole(
    tmp_path: Path, reader: str, compression: str, damage: Callable[[bytearray], None]
) -> None:
    path = tmp_path / "damaged.svs"
    noise = np.random.default_rng(0).integers(0, 256, (300, 512, 3), dtype=np.uint8)
    write_svs(path, noise, compression=compression)
    whole = open_slide(path, reader).read_region(0, 0, 0, 512, 300)
    with tifffile.TiffFile(path) as tiff:
        offset, count = (getattr(tiff.pages[0], name)[0] for name in ("dataoffsets", "databytecounts"))
    raw = bytearray(path.read_bytes())
    tile = raw[offset : offset + count]
    damage(tile)
    raw[offset : offset + count] = tile
    path.write_bytes(raw)
    slide = open_slide(path, reader)
    with pytest.raises(SlideError, match=r"level 0, x 0\.\.300, y 0\.\.100 cannot be decoded: .*"):
        slide.read_region(0, 0, 0, 300, 100)
    np.testing.assert_array_equal(slide.read_region(256, 0, 0, 256, 300), whole[:, 256:])


def test_a_white_slide_has_no_holes(tmp_path: Path) -> None:
    for compression in ("jpeg", "aperio_jp2000_rgb"):
        write_svs(tmp_path / "white.svs", np.full((512, 1024, 3), 255, np.uint8), compression=compression)
        for reader in READERS:
            assert open_slide(tmp_path / "white.svs", reader).read_region(0, 0, 0, 1024, 512).min() > 250


def test_the_overview_marks_what_cannot_be_decoded(
    svs: Path, tiles_of: tuple[list[int], list[int]], tmp_path: Path
) -> None:
    raw = bytearray(svs.read_bytes())
    raw[tiles_of[0][1] : tiles_of[0][1] + tiles_of[1][1]] = bytes(tiles_of[1][1])
    path = tmp_path / "damaged.svs"
    path.write_bytes(bytes(raw))
    overview = read_overview(open_slide(path), 2.0)
    assert not overview.known[:100, 140:240].any()
    assert overview.known[:, 340:].all()
    assert overview.known[260:].all()


def rewritten(path: Path, code: int, value: int, page: int = 0) -> None:
    """Overwrite the value of a TIFF tag in place."""
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tag = tiff.pages[page].tags[code]
        tag.overwrite(value, dtype=tag.dtype)


@pytest.mark.parametrize("kind", ["svs", "tif"])
@pytest.mark.parametrize("size", [(1_000_000, 1_000_000), (2_000_000_000, 100), (0, 700)])
def test_absurd_sizes_are_refused(tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
    path = tmp_path / f"absurd.{kind}"
    if kind == "svs":
        write_svs(path, picture(300, 400))
    else:
        write_tiff(path, picture(300, 400), tile=None, rowsperstrip=16)
    for code, value in zip((256, 257), size, strict=True):
        with tifffile.TiffFile(path) as tiff:
            tag = tiff.pages[0].tags[code]
            place, short = tag.valueoffset, tag.dtype == 3
        if short:
            value = min(value, 65535)
        with path.open("r+b") as file:
            file.seek(place)
            file.write(struct.pack("<H" if short else "<I", value))
    for reader in (*READERS, "image", "auto"):
        refused(path, reader)


def test_tiles_of_absurd_size_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiles.svs"
    write_svs(path, picture(300, 400))
    with tifffile.TiffFile(path) as tiff:
        places = [tiff.pages[0].tags[code].valueoffset for code in (322, 323)]
    with path.open("r+b") as file:
        for place in places:
            file.seek(place)
            file.write(struct.pack("<I", 1 << 16))
    refused(path)


@pytest.mark.parametrize("vendor", ["known", "unknown"])
def test_a_tile_that_claims_more_bytes_than_there_are_is_not_allocated(
    tmp_path: Path, vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # OpenSlide would ask for 4 GB, and abort where it does not get them
    if vendor == "unknown":
        monkeypatch.setattr("wsiseg.slides.openslide_reader.TIFF_VENDORS", ())
    path = tmp_path / "claims.svs"
    write_svs(path, picture(300, 512))
    with tifffile.TiffFile(path) as tiff:
        place = tiff.pages[0].tags[325].valueoffset
    with path.open("r+b") as file:
        file.seek(place)
        file.write(struct.pack("<I", 0xFF00000B))
    slide = open_slide(path, "openslide")
    with pytest.raises(SlideError, match="claims 4278190091 bytes"):
        slide.read_region(0, 0, 0, 100, 100)
    if vendor == "known":
        assert slide.read_region(256, 0, 0, 256, 300).any()


@pytest.mark.parametrize("reader", ["tiffslide", "image"])
def test_a_list_where_a_tile_has_its_side_is_not_multiplied(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "a.tif"
    write_tiff(path, picture(150, 170), tile=64, photometric="rgb")
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages.first.tags["TileLength"]
    data = bytearray(path.read_bytes())
    struct.pack_into("<II", data, tag.offset + 4, 320, 64)
    width = data.find(struct.pack("<HHI", 322, tag.dtype, 1))
    struct.pack_into("<I", data, width + 8, 2**32 - 1)
    path.write_bytes(data)
    assert "several numbers for tilelength" in refused(path, reader)
