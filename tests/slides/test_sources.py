"""The names of slides' outputs: unique, stable and safe."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from touched import names, touch

from wsiseg.slides.expand import expand
from wsiseg.slides.sources import SlideSource, safe_name


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
