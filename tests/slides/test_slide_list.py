"""CSV lists of slides."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from touched import names, touch

from wsiseg.errors import UsageError
from wsiseg.slides.expand import expand
from wsiseg.slides.sources import SlideSource


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
