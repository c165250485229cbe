"""Slides of several files that are not all there, and formats that cannot be read: refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from small_slides import picture

from wsiseg.errors import SlideError
from wsiseg.slides import open_slide
from wsiseg.slides.expand import expand, left_out


@pytest.mark.parametrize("reader", ["auto", "image"])
def test_mrxs_without_its_folder(tmp_path: Path, reader: str) -> None:
    Image.fromarray(picture(60, 80)).save(tmp_path / "alone.mrxs", format="JPEG")
    with pytest.raises(SlideError, match=r"data folder 'alone' is missing"):
        open_slide(tmp_path / "alone.mrxs", reader)
    (tmp_path / "alone").mkdir()
    with pytest.raises(SlideError, match=r"no Slidedat\.ini"):
        open_slide(tmp_path / "alone.mrxs", reader)


def test_vms_without_one_of_its_images(tmp_path: Path) -> None:
    text = "[Virtual Microscope Specimen]\nImageFile=a.jpg\nImageFile(1,0)=b.jpg\nMapFile=map.jpg\n"
    (tmp_path / "a.vms").write_text(text)
    (tmp_path / "a.jpg").write_bytes(b"x")
    with pytest.raises(SlideError, match=r"'b\.jpg' is missing"):
        open_slide(tmp_path / "a.vms")


def test_the_pictures_of_a_vms_are_no_slides_of_their_own(tmp_path: Path) -> None:
    names = {
        "ImageFile": "a.jpg",
        "MapFile": "a_map2.jpg",
        "MacroImage": "m.jpg",
        "OptimisationFile": "a.opt",
    }
    text = "\n".join(f"{key}={name}" for key, name in names.items())
    (tmp_path / "a.vms").write_text(f"[Virtual Microscope Specimen]\n{text}\n")
    for name in names.values():
        (tmp_path / name).write_bytes(b"x")
    for name in ("other.jpg", "note.txt"):
        (tmp_path / name).write_bytes(b"x")
    for argument in (tmp_path, tmp_path / "*"):
        found = [Path(source.path).name for source in expand([str(argument)], None)]
        assert found == ["a.vms", "other.jpg"]
    assert [Path(path).name for path in left_out([str(tmp_path)])] == ["note.txt"]


@pytest.mark.parametrize("suffix", ["isyntax", "vsi", "lif", "ISYNTAX"])
def test_formats_that_nothing_reads(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a.{suffix}").write_bytes(b"\x01\x02" * 50)
    with pytest.raises(SlideError, match="OME-TIFF"):
        open_slide(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize("suffix", ["ndpi", "bif", "czi", "svslide", "docx"])
def test_a_picture_under_a_container_s_suffix_is_no_image(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(picture(60, 80)).save(tmp_path / f"a.{suffix}", format="JPEG")
    with pytest.raises(SlideError, match="no plain image"):
        open_slide(tmp_path / f"a.{suffix}")
