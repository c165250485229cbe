"""What users call slides: arguments become paths and safe, distinct names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsiseg.errors import UsageError
from wsiseg.slides.expand import expand, left_out
from wsiseg.slides.sources import SlideSource, safe_name


def touch(folder: Path, *names: str) -> list[str]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return [str(p) for p in paths]


def names(sources: list[SlideSource]) -> list[str]:
    return [source.name for source in sources]


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


def test_csv_lists(tmp_path: Path) -> None:
    touch(tmp_path, "a.svs", "sub/b, c.svs", "d.svs")
    path = tmp_path / "list.csv"
    text = f'\ufeffslide,mpp,remark\r\na.svs,0.25,x\r\n"sub/b, c.svs",,\r\n\r\n{tmp_path}/d.svs, 0.5 ,\r\ns3://bucket/e.svs,1,'
    path.write_text(text, encoding="utf-8")
    found = expand([str(path)], 2.0)
    assert names(found) == ["a", "b, c", "d", "e"]
    assert [s.mpp for s in found] == [0.25, 2.0, 0.5, 1.0]
    assert [os.path.exists(s.path) for s in found] == [True, True, True, False]


def test_a_list_with_semicolons(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text('slide;mpp\na.svs;0,25\n"b; c.svs";\n')
    assert [(s.name, s.mpp) for s in expand([str(tmp_path / "list.csv")], None)] == [
        ("a", 0.25),
        ("b_ c", None),
    ]


def test_a_csv_list_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.svs")
    (tmp_path / "list.csv").write_text("mpp,Slide\n0.5,a.svs\n")
    monkeypatch.chdir(tmp_path)
    assert expand(["list.csv"], None) == [SlideSource("a.svs", "a", 0.5, "the list")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path,mpp\na.svs,0.25\n", "column 'slide'"),
        ("", "no rows"),
        ("slide,mpp\na.svs,big\n", "line 2: mpp is 'big'"),
        ("slide,mpp\na.svs,0.25\nb.svs,-1\n", "line 3: mpp is '-1'"),
        ("slide,mpp\na.svs,nan\n", "positive number"),
        ("slide,mpp\na.svs,inf\n", "positive number"),
        ("slide,mpp\n,0.25\n", "no slides"),
        ("slide,mpp\na\0b.svs,0.25\n", "line 2: 'a.x00b.svs' cannot be the name"),
    ],
)
def test_lists_that_cannot_be_understood(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=says) as caught:
        expand([str(path)], None)
    assert str(path) in str(caught.value)


def test_a_list_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"\xff\xfe\x00slide")
    with pytest.raises(UsageError, match=r"list\.csv"):
        expand([str(path)], None)


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


def test_one_stem_in_two_folders_gives_two_stable_names(tmp_path: Path) -> None:
    a, b, c = touch(tmp_path, "p1/s.svs", "p2/s.svs", "p1/t.svs")
    assert names(expand([a, b, c], None)) == ["p1-s", "p2-s", "t"]
    assert names(expand([c, b, a], None)) == ["t", "p2-s", "p1-s"]
    d, e, f = touch(tmp_path, "x/p/s.svs", "y/p/s.svs", "y/p/s.ndpi")
    found = names(expand([d, e, f], None))
    assert len(set(found)) == 3
    assert all(name.startswith("p-s-") for name in found)
    assert names(expand([f, e, d], None)) == found[::-1]


def test_names_that_differ_in_case_only_are_kept_apart(tmp_path: Path) -> None:
    a, b = touch(tmp_path, "1/Slide.svs", "2/slide.svs")
    assert names(expand([a, b], None)) == ["1-Slide", "2-slide"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a slide.svs", "a slide"),
        ('it\'s "1".svs', "it_s _1_"),
        ("new\nline.svs", "new_line"),
        ("Gr\u00fc\u00dfe-\u4e16.svs", "Gr\u00fc\u00dfe-\u4e16"),
        ("-rf.svs", "_rf"),
        ("...svs", "svs"),
        ("con.svs", "con_"),
        ("run.svs", "run_"),
        ("a.b.c.ndpi", "a.b.c"),
        ("slide.ome.tif", "slide"),
    ],
)
def test_odd_names(tmp_path: Path, name: str, expected: str) -> None:
    (path,) = touch(tmp_path, name)
    assert expand([path], None) == [SlideSource(path, expected, None)]


def test_a_name_that_is_no_unicode(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.svs")
    Path(path).write_bytes(b"x")
    (source,) = expand([path], None)
    source.name.encode()


def test_links_to_one_slide_are_one_slide(tmp_path: Path) -> None:
    (a,) = touch(tmp_path, "a.svs")
    (tmp_path / "b.svs").symlink_to(a)
    (tmp_path / "gone.svs").symlink_to(tmp_path / "nothing")
    assert names(expand([str(tmp_path)], None)) == ["a", "gone"]


@given(st.text(max_size=300))
def test_a_safe_name_is_never_a_path(text: str) -> None:
    name = safe_name(text)
    assert name
    assert len(name.encode()) <= 130
    assert not set(name) & set("/\\:*?\"<>|\0\n\r\t'")
    assert name[0] not in ".-=+@ "
    assert name[-1] not in ". "
    assert os.path.basename(name) == name
    assert safe_name(name) == name


def test_unreadable_slides_of_a_folder_are_kept_and_other_files_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.svs", "b.isyntax", "c.vsi", "d.czi", "notes.txt", "list.csv", ".hidden")
    assert names(expand([str(tmp_path)], None)) == ["a", "b", "c", "d"]
    assert [Path(path).name for path in left_out([str(tmp_path)])] == ["list.csv", "notes.txt"]
    assert left_out([str(tmp_path / "a.svs")]) == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_lists_as_spreadsheets_save_them(tmp_path: Path, encoding: str, delimiter: str) -> None:
    touch(tmp_path, "ä.svs")
    number = "0.5" if delimiter == "," else "0,5"
    text = f"slide{delimiter}mpp\r\nä.svs{delimiter}{number}\r\n"
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    (tmp_path / "list.csv").write_bytes(mark + text.encode(encoding))
    assert [(s.name, s.mpp) for s in expand([str(tmp_path / "list.csv")], None)] == [("ä", 0.5)]


def test_a_list_in_another_encoding_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes("slide,mpp\nä.svs,0.5\n".encode("latin-1"))
    with pytest.raises(UsageError, match="UTF-8"):
        expand([str(tmp_path / "list.csv")], None)


def test_two_rows_of_one_slide_with_two_resolutions_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.svs")
    (tmp_path / "list.csv").write_text("slide,mpp\na.svs,0.25\n./a.svs,0.5\n")
    with pytest.raises(UsageError, match=r"two resolutions, 0\.25 \(list\.csv, line 2\) and 0\.5 .*line 3"):
        expand([str(tmp_path / "list.csv")], None)
    (tmp_path / "same.csv").write_text("slide,mpp\na.svs,\na.svs,0.5\n")
    assert [s.mpp for s in expand([str(tmp_path / "same.csv")], None)] == [0.5]
