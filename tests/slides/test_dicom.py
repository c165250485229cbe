"""DICOM: a series is one slide, as a folder or by any of its files."""

from __future__ import annotations

import pickle
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from dicom_files import tiles, unmarked, write_instance
from small_slides import halved, picture

from wsiseg.config import TissueConfig
from wsiseg.errors import SlideError
from wsiseg.slides import open_slide
from wsiseg.slides.dicom import series_in, series_uid
from wsiseg.slides.expand import expand
from wsiseg.slides.tissue_finder import find_tissue

PIXELS = picture(200, 300)


def write_series(folder: Path, series: str, suffix: str = ".dcm") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate((PIXELS, halved(PIXELS, 4)), start=1):
        write_instance(
            folder / f"{series[-1]}-level{number}{suffix}", pixels, series, number, 0.25 * 4 ** (number - 1)
        )


@pytest.mark.parametrize("suffix", [".dcm", ""])
def test_a_folder_with_one_series_is_a_slide(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "case 1"
    write_series(folder, "1.2.7", suffix)
    slide = open_slide(folder)
    assert slide.reader == "openslide"
    assert slide.level_dimensions == ((300, 200), (75, 50))
    assert slide.mpp == pytest.approx(0.25)
    assert np.abs(slide.read_region(0, 0, 0, 300, 200).astype(int) - PIXELS).mean() < 4
    again = pickle.loads(pickle.dumps(slide))  # noqa: S301
    assert again.fingerprint == slide.fingerprint
    assert [(s.path, s.name) for s in expand([str(folder)], None)] == [(str(folder), "case 1")]
    assert [s.name for s in expand([str(tmp_path)], None)] == ["case 1"]


def test_a_file_stands_for_its_series(tmp_path: Path) -> None:
    write_series(tmp_path, "1.2.7")
    assert open_slide(tmp_path / "7-level2.dcm").dimensions == (300, 200)
    assert [s.name for s in expand([f"{tmp_path}/*.dcm"], None)] == ["7-level1"]


def test_each_series_in_a_folder_is_a_slide(tmp_path: Path) -> None:
    for series in ("1.2.7", "1.2.8"):
        write_series(tmp_path, series)
    assert [s.name for s in expand([str(tmp_path)], None)] == ["7-level1", "8-level1"]
    assert {k: len(v) for k, v in series_in(str(tmp_path)).items()} == {"1.2.7": 2, "1.2.8": 2}
    with pytest.raises(SlideError, match="2 DICOM series"):
        open_slide(tmp_path)


def test_damaged_headers_do_no_harm(tmp_path: Path) -> None:
    write_series(tmp_path, "1.2.7")
    raw = (tmp_path / "7-level1.dcm").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(raw[: int(rng.integers(132, 1500))])
        for at in rng.integers(0, len(damaged), 4):
            damaged[at] = rng.integers(0, 256)
        (tmp_path / "damaged.dcm").write_bytes(bytes(damaged))
        assert isinstance(series_uid(str(tmp_path / "damaged.dcm")), str | None)


def test_frames_that_lead_outside_the_file_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path, "1.2.7")
    path = tmp_path / "7-level1.dcm"
    raw = path.read_bytes()
    table = raw.find(b"\xe0\x7f\x10\0") + 20
    for at in (table + 6, table + 1):
        damaged = bytearray(raw)
        damaged[at] ^= 0x90
        path.write_bytes(bytes(damaged))
        with pytest.raises(SlideError, match="outside the file"):
            open_slide(path)
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(SlideError, match="outside the file"):
        open_slide(path)


def test_a_series_of_resampled_levels_lacks_its_level_0(tmp_path: Path) -> None:
    kind = "DERIVED\\PRIMARY\\VOLUME\\RESAMPLED"
    write_instance(tmp_path / "1.dcm", halved(PIXELS, 2), "1.2.7", 1, 0.5, image_type=kind)
    with open_slide(tmp_path / "1.dcm") as slide:
        with pytest.raises(SlideError, match=r"level 0 is missing.*--accept-odd"):
            find_tissue(slide, TissueConfig(), 0.5)
        (remark, *_) = find_tissue(slide, TissueConfig(accept_odd=True), 0.5).remarks
        assert "coordinates are those of a smaller picture" in remark
    write_instance(tmp_path / "0.dcm", PIXELS, "1.2.7", 2, 0.25)
    with open_slide(tmp_path / "1.dcm") as slide:
        assert slide.level_dimensions == ((300, 200), (150, 100))
        assert find_tissue(slide, TissueConfig(), 0.25).mask.any()


def test_a_level_of_another_shape_is_left_out(tmp_path: Path) -> None:
    write_instance(tmp_path / "0.dcm", PIXELS, "1.2.7", 1, 0.25)
    padded = np.full((128, 256, 3), 255, np.uint8)
    padded[:100, :150] = halved(PIXELS, 2)
    write_instance(tmp_path / "1.dcm", padded, "1.2.7", 2, 0.5)
    slide = open_slide(tmp_path)
    assert slide.level_dimensions == ((300, 200),)
    assert "256 x 128" in slide.warnings[0]


def test_focal_planes_are_refused(tmp_path: Path) -> None:
    write_instance(tmp_path / "0.dcm", PIXELS, "1.2.7", 1, planes=3)
    with pytest.raises(SlideError, match="3 focal planes"):
        open_slide(tmp_path)


GLASS = picture(200, 300) // 4 + np.uint8(190)


@pytest.mark.parametrize("marked", [True, False])
def test_frames_are_read_as_they_are_coded_whatever_the_header_says(tmp_path: Path, marked: bool) -> None:
    frames = [frame if marked else unmarked(frame.rstrip(b"\0")) for frame in tiles(GLASS, 64)]
    frames = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    write_instance(tmp_path / "0.dcm", GLASS, "1.2.7", 1, photometric="RGB", frames=frames)
    slide = open_slide(tmp_path)
    assert "frames are YCbCr" in slide.warnings[0]
    assert np.abs(slide.read_region(0, 0, 0, 300, 200).astype(int) - GLASS).mean() < 4
    assert np.abs(slide.read_region(70, 40, 0, 100, 90).astype(int) - GLASS[40:130, 70:170]).mean() < 4


def rgb_frames(pixels: np.ndarray) -> list[bytes]:
    """Return frames whose components are red, green and blue, unmarked, as Aperio writes them."""
    padded = np.pad(pixels, ((0, -pixels.shape[0] % 64), (0, -pixels.shape[1] % 64), (0, 0)), mode="edge")
    frames = []
    for y in range(0, padded.shape[0], 64):
        for x in range(0, padded.shape[1], 64):
            tile = np.ascontiguousarray(padded[y : y + 64, x : x + 64])
            data = unmarked(imagecodecs.jpeg8_encode(tile, 95, colorspace="RGB", outcolorspace="RGB"))
            frames.append(data + b"\0" * (len(data) % 2))
    return frames


def test_rgb_frames_under_an_rgb_header_are_left_alone(tmp_path: Path) -> None:
    write_instance(tmp_path / "0.dcm", GLASS, "1.2.7", 1, photometric="RGB", frames=rgb_frames(GLASS))
    slide = open_slide(tmp_path)
    assert slide.warnings == ()
    assert np.abs(slide.read_region(0, 0, 0, 300, 200).astype(int) - GLASS).mean() < 4


def test_rgb_frames_under_a_ycbcr_header_are_refused(tmp_path: Path) -> None:
    write_instance(tmp_path / "0.dcm", GLASS, "1.2.7", 1, frames=rgb_frames(GLASS))
    with pytest.raises(SlideError, match="colours cannot be told"):
        open_slide(tmp_path)
