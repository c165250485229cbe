"""Files, folders, globs and URLs become slides."""

from __future__ import annotations

from pathlib import Path

import pytest
from touched import names, touch

from wsiseg.errors import UsageError
from wsiseg.slides.expand import expand, left_out
from wsiseg.slides.sources import SlideSource


def test_files_in_their_order_once(tmp_path: Path) -> None:
    a, b = touch(tmp_path, "b.svs", "a.ndpi")
    found = expand([a, b, a, f"{tmp_path}/./b.svs"], 0.5)
    assert found == [SlideSource(a, "b", 0.5), SlideSource(b, "a", 0.5)]


def test_a_folder_gives_its_slides_only(tmp_path: Path) -> None:
    touch(
        tmp_path, "b.SVS", "a.png", "broken.tif", "notes.txt", "README.md", "x.json", "x.xml", ".hidden.svs",
        "list.csv", "c.mrxs", "c/Slidedat.ini", "c/Data0001.dat", "deeper/d.svs", "o.zarr/zarr.json", "noend",
    )  # fmt: skip
    assert names(expand([str(tmp_path)], None)) == ["a", "b", "broken", "c"]
    assert names(expand([f"{tmp_path}/"], None)) == ["a", "b", "broken", "c"]


def test_globs(tmp_path: Path) -> None:
    touch(tmp_path, "a1.svs", "a2.svs", "b.svs", "a3.txt", "one/x.svs", "two/y.svs")
    assert names(expand([f"{tmp_path}/a*"], None)) == ["a1", "a2"]
    assert names(expand([f"{tmp_path}/*/*.svs"], None)) == ["x", "y"]


def test_a_file_whose_name_looks_like_a_glob(tmp_path: Path) -> None:
    (path,) = touch(tmp_path, "slide [1].svs")
    assert expand([path], None) == [SlideSource(path, "slide _1_", None)]


def test_nothing_found_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for argument in ("empty", "none.svs", "*.svs"):
        with pytest.raises(UsageError, match=argument.replace("*", r"\*")):
            expand([str(tmp_path / argument)], None)
    with pytest.raises(UsageError, match="no slides given"):
        expand([], None)


def test_urls(tmp_path: Path) -> None:
    found = expand(["https://host/a/b%20c.svs?token=1#x", "s3://bucket/x/y.ome.tiff"], None)
    assert [s.path for s in found] == ["https://host/a/b%20c.svs?token=1#x", "s3://bucket/x/y.ome.tiff"]
    assert names(found) == ["b_20c", "y"]


def test_a_glob_over_a_bucket() -> None:
    import fsspec

    fs = fsspec.filesystem("memory")
    for name in ("one.svs", "two.svs", "note.txt"):
        fs.pipe(f"/globbed/{name}", b"x")
    for argument in ("memory://globbed/*", "memory://globbed/"):
        found = expand([argument], None)
        assert names(found) == ["one", "two"]
        assert fs.exists(found[0].path)


def test_links_to_one_slide_are_one_slide(tmp_path: Path) -> None:
    (a,) = touch(tmp_path, "a.svs")
    (tmp_path / "b.svs").symlink_to(a)
    (tmp_path / "gone.svs").symlink_to(tmp_path / "nothing")
    assert names(expand([str(tmp_path)], None)) == ["a", "gone"]


def test_unreadable_slides_of_a_folder_are_kept_and_other_files_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.svs", "b.isyntax", "c.vsi", "d.czi", "notes.txt", "list.csv", ".hidden")
    assert names(expand([str(tmp_path)], None)) == ["a", "b", "c", "d"]
    assert [Path(path).name for path in left_out([str(tmp_path)])] == ["list.csv", "notes.txt"]
    assert left_out([str(tmp_path / "a.svs")]) == []
