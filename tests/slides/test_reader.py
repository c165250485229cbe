"""Opening and reading: both readers, threads, processes, pickles, what a header says about resolution."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from small_slides import halved, picture, write_svs, write_tiff

from wsiseg.errors import SlideError, UsageError
from wsiseg.slides import open_slide
from wsiseg.slides.slide import Slide

BOTH = pytest.mark.parametrize("reader", ["openslide", "tiffslide"])
Lossless = tuple[Path, list[NDArray[np.uint8]]]


@BOTH
def test_levels_and_pixels(lossless: Lossless, reader: str) -> None:
    path, levels = lossless
    with open_slide(path, reader) as slide:
        assert slide.reader == reader
        assert slide.dimensions == (901, 703)
        assert slide.level_dimensions == ((901, 703), (450, 351), (225, 175))
        assert slide.level_downsamples == (1.0, 2.0, 4.0)
        assert slide.mpp == pytest.approx(0.25)
        assert slide.warnings == ()
        assert all(isinstance(v, str) for v in slide.properties.values())
        for level, pixels in enumerate(levels):
            np.testing.assert_array_equal(
                slide.read_region(0, 0, level, pixels.shape[1], pixels.shape[0]), pixels
            )
            np.testing.assert_array_equal(slide.read_region(101, 37, level, 90, 131), pixels[37:168, 101:191])


@BOTH
def test_outside_is_white(lossless: Lossless, reader: str) -> None:
    path, levels = lossless
    slide = open_slide(path, reader)
    region = slide.read_region(-10, 690, 0, 40, 30)
    assert region.shape == (30, 40, 3)
    assert region.dtype == np.uint8
    np.testing.assert_array_equal(region[:13, 10:], levels[0][690:, :30])
    assert (region[13:] == 255).all()
    assert (region[:, :10] == 255).all()
    assert (slide.read_region(5000, 5000, 1, 7, 9) == 255).all()
    assert slide.read_region(0, 0, 0, 0, 5).shape == (5, 0, 3)
    with pytest.raises(ValueError, match="level 3"):
        slide.read_region(0, 0, 3, 5, 5)


def test_readers_decode_alike_and_agree_on_the_fingerprint(svs: Path) -> None:
    slides = [open_slide(svs, reader) for reader in ("openslide", "tiffslide")]
    for level in (0, 1):
        a, b = (s.read_region(11, 13, level, 200, 150) for s in slides)
        np.testing.assert_array_equal(a, b)
    assert slides[0].fingerprint == slides[1].fingerprint
    assert len(slides[0].fingerprint) == 64


def test_openslide_s_own_pixels_are_those_of_the_tiff_reader(
    svs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through_tiff = open_slide(svs, "openslide").read_region(11, 13, 0, 400, 300)
    monkeypatch.setattr("wsiseg.slides.openslide_reader.TIFF_VENDORS", ())
    alone = open_slide(svs, "openslide")
    np.testing.assert_array_equal(alone.read_region(11, 13, 0, 400, 300), through_tiff)


def test_fingerprint_follows_the_content_and_not_the_name(svs: Path, tmp_path: Path) -> None:
    copy, changed = tmp_path / "copy.svs", tmp_path / "changed.svs"
    raw = svs.read_bytes()
    copy.write_bytes(raw)
    changed.write_bytes(raw.replace(b"AppMag = 40", b"AppMag = 20"))
    assert open_slide(copy).fingerprint == open_slide(svs).fingerprint != open_slide(changed).fingerprint


def test_levels_that_openslide_cannot_decode_from_a_tiff_do_not_depend_on_the_window(
    lossless: Lossless, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsiseg.slides.openslide_reader.TIFF_VENDORS", ())
    monkeypatch.setattr("wsiseg.slides.openslide_reader.CELL_PX", 100)
    slide = open_slide(lossless[0], "openslide")
    whole = slide.read_region(0, 0, 1, 450, 351)
    assert np.abs(whole.astype(int) - lossless[1][1]).mean() < 3
    np.testing.assert_array_equal(slide.read_region(155, 97, 1, 120, 130), whole[97:227, 155:275])


@pytest.mark.parametrize("reader", ["openslide", "tiffslide", "image"])
def test_a_pickle_holds_the_path_only(svs: Path, tmp_path: Path, reader: str) -> None:
    path: Path = svs
    if reader == "image":
        path = tmp_path / "plain.tif"
        write_tiff(path, picture(90, 80), tile=None)
    slide = open_slide(path, reader)
    expected = slide.read_region(3, 4, 0, 50, 40)
    data = pickle.dumps(slide)
    assert len(data) < 400
    again = pickle.loads(data)  # noqa: S301
    assert again.reader == reader
    np.testing.assert_array_equal(again.read_region(3, 4, 0, 50, 40), expected)


@BOTH
def test_threads_read_what_one_thread_reads(svs: Path, reader: str) -> None:
    slide = open_slide(svs, reader)
    whole = slide.read_region(0, 0, 0, 901, 703)
    corners = [(x, y) for y in range(0, 640, 60) for x in range(0, 840, 60)]
    with ThreadPoolExecutor(8) as pool:
        regions = list(pool.map(lambda c: slide.read_region(*c, 0, 61, 61), corners))
    for (x, y), region in zip(corners, regions, strict=True):
        np.testing.assert_array_equal(region, whole[y : y + 61, x : x + 61])


def _mean_in_child(slide: Slide, answers: multiprocessing.Queue[float]) -> None:
    answers.put(float(slide.read_region(0, 0, 0, 300, 300).mean()))


@BOTH
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_opens_its_own_handle(svs: Path, reader: str) -> None:
    slide = open_slide(svs, reader)
    expected = slide.read_region(0, 0, 0, 300, 300).mean()
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[float] = context.Queue()
    # the parent holds the lock at the moment of the fork, as a reading thread might
    with slide._lock:
        child = context.Process(target=_mean_in_child, args=(slide, answers))
        child.start()
    assert answers.get(timeout=60) == expected
    child.join(60)
    assert child.exitcode == 0


@BOTH
def test_closing_while_others_read_is_safe_and_reading_reopens(svs: Path, reader: str) -> None:
    slide = open_slide(svs, reader)
    whole = slide.read_region(0, 0, 0, 901, 703)
    stop = threading.Event()

    def close_often() -> None:
        while not stop.wait(0.001):
            slide.close()

    thread = threading.Thread(target=close_often)
    thread.start()
    try:
        for _ in range(30):
            np.testing.assert_array_equal(slide.read_region(0, 0, 0, 901, 703), whole)
    finally:
        stop.set()
        thread.join()


@BOTH
@pytest.mark.parametrize(
    ("mpp", "reason"),
    [
        ("0", "0 x 0 um per pixel"),
        ("-1", "-1 x -1 um per pixel"),
        ("nan", "nan x nan um per pixel"),
        ("1e9", "1e+09 x 1e+09 um per pixel"),
        ("none", "'none'"),
    ],
)
def test_an_absurd_mpp_in_a_header_is_none_with_a_reason(
    tmp_path: Path, reader: str, mpp: str, reason: str
) -> None:
    path = tmp_path / "odd.svs"
    write_svs(path, picture(260, 300), mpp=mpp)
    slide = open_slide(path, reader)
    assert slide.mpp is None
    assert reason in slide.warnings[0]
    assert "\n" not in "".join(slide.warnings)


def test_mpp_of_plain_ome_and_imagej_tiff(tmp_path: Path) -> None:
    pixels = picture(140, 150)
    write_tiff(tmp_path / "cm.tif", pixels, resolution=(40000, 40000), resolutionunit="CENTIMETER")
    assert open_slide(tmp_path / "cm.tif").mpp == pytest.approx(0.25)
    write_tiff(tmp_path / "inch.tif", pixels, resolution=(101600, 101600), resolutionunit="INCH")
    assert open_slide(tmp_path / "inch.tif").mpp == pytest.approx(0.25)
    write_tiff(tmp_path / "dpi.tif", pixels, resolution=(72, 72), resolutionunit="INCH")
    dpi = open_slide(tmp_path / "dpi.tif", "tiffslide")
    assert dpi.mpp is None
    assert "352" in dpi.warnings[0]
    meta = {"axes": "YXS", "PhysicalSizeX": 500, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5}
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, photometric="rgb", tile=(64, 64), metadata=meta)
    assert open_slide(tmp_path / "a.ome.tif", "tiffslide").mpp == pytest.approx(0.5)
    tifffile.imwrite(
        tmp_path / "ij.tif",
        pixels,
        photometric="rgb",
        imagej=True,
        resolution=(2, 2),
        metadata={"unit": "um", "axes": "YXS"},
    )
    assert open_slide(tmp_path / "ij.tif").mpp == pytest.approx(0.5)


def test_an_ome_pyramid(tmp_path: Path) -> None:
    pixels = picture(300, 410)
    path = tmp_path / "pyramid.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(pixels, subifds=1, photometric="rgb", tile=(128, 128), metadata={"axes": "YXS"})
        writer.write(halved(pixels, 2), subfiletype=1, photometric="rgb", tile=(128, 128))
    slide = open_slide(path)
    assert slide.reader == "tiffslide"
    assert slide.level_dimensions == ((410, 300), (205, 150))
    np.testing.assert_array_equal(slide.read_region(100, 50, 1, 90, 80), halved(pixels, 2)[50:130, 100:190])


def test_planes_that_are_no_colours_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "channels.ome.tif"
    tifffile.imwrite(
        path, np.zeros((5, 64, 64), np.uint8), metadata={"axes": "CYX"}, photometric="minisblack"
    )
    with pytest.raises(SlideError, match="5 planes"):
        open_slide(path, "tiffslide")


def test_planar_rgb(tmp_path: Path) -> None:
    pixels = picture(150, 170)
    write_tiff(
        tmp_path / "planar.tif",
        np.moveaxis(pixels, -1, 0),
        planarconfig="separate",
        photometric="rgb",
        tile=64,
    )
    slide = open_slide(tmp_path / "planar.tif")
    np.testing.assert_array_equal(slide.read_region(0, 0, 0, 170, 150), pixels)


def test_a_url_of_an_unknown_kind() -> None:
    with pytest.raises(SlideError, match="cannot be reached"):
        open_slide("gopher2://host/slide.svs")


def test_over_a_url(svs: Path) -> None:
    import fsspec

    with fsspec.open("memory://bucket/a slide.svs", "wb") as file:
        file.write(svs.read_bytes())
    slide = open_slide("memory://bucket/a slide.svs")
    local = open_slide(svs)
    assert slide.reader == "tiffslide"
    assert slide.fingerprint == local.fingerprint
    np.testing.assert_array_equal(slide.read_region(90, 80, 1, 50, 60), local.read_region(90, 80, 1, 50, 60))
    with pytest.raises(SlideError, match=r"memory://bucket/none\.svs: there is nothing"):
        open_slide("memory://bucket/none.svs")


@BOTH
def test_a_tile_that_was_never_stored_is_glass(tmp_path: Path, reader: str) -> None:
    pixels = picture(200, 200)
    options = {"tile": (128, 128), "photometric": "rgb", "compression": "deflate", "metadata": None}
    with tifffile.TiffWriter(tmp_path / "sparse.tif") as writer:
        tiles = iter([np.ascontiguousarray(pixels[:128, :128]), None, None, None])
        writer.write(tiles, shape=pixels.shape, dtype=np.uint8, **options)
    region = open_slide(tmp_path / "sparse.tif", reader).read_region(0, 0, 0, 200, 200)
    np.testing.assert_array_equal(region[:128, :128], pixels[:128, :128])
    assert (region[128:] == 255).all()
    assert (region[:, 128:] == 255).all()


def test_there_is_no_such_reader(svs: Path) -> None:
    with pytest.raises(UsageError, match="bioformats"):
        open_slide(svs, "bioformats")


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "TCGA-CR-7395-01A-01-TS1.svs"])
def test_real_slides_read_alike(shared_data: Path, name: str) -> None:
    slides = [open_slide(shared_data / "slides" / name, reader) for reader in ("openslide", "tiffslide")]
    assert slides[0].level_dimensions == slides[1].level_dimensions
    assert slides[0].level_downsamples == slides[1].level_downsamples
    assert slides[0].mpp == slides[1].mpp
    for level in range(len(slides[0].level_dimensions)):
        a, b = (s.read_region(777, 555, level, 300, 200) for s in slides)
        np.testing.assert_array_equal(a, b)
