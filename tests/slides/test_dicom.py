"""DICOM: a series is one slide, as a folder or by any of its files."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_instance
from small_slides import halved, picture

from wsiseg.errors import SlideError
from wsiseg.slides import open_slide
from wsiseg.slides.dicom import series_in, series_uid
from wsiseg.slides.sources import expand

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
