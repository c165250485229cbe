"""The pages of a run, made while it goes on or built from a folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fake_outputs import write_slide, write_summary
from html_pages import Page

from wsiseg import predict
from wsiseg.errors import StoreError, UsageError
from wsiseg.inference.slide_report import SlideReport
from wsiseg.report.batch_pages import BatchPages, rebuild


def test_rebuilding_needs_no_slide_and_says_which_page_failed(out: Path) -> None:
    write_slide(out, "good", squares=2)
    write_slide(out, "bad", squares=2).parquet.unlink()
    told: dict[str, object] = {}
    page = rebuild(out, on_slide=told.__setitem__)
    assert page == out / "index.html"
    assert told["good"] is None
    assert isinstance(told["bad"], StoreError)
    assert (out / "report" / "good" / "index.html").is_file()
    assert not (out / "report" / "bad" / "index.html").exists()


def test_what_a_killed_run_had_begun_is_removed(out: Path) -> None:
    write_slide(out, squares=2)
    own = out / "report" / "slide"
    own.mkdir(parents=True)
    for leftover in (out / ".index.html.0123.part", own / ".index.html.0.part", own / ".field-0.jpg.1.part"):
        leftover.write_text("half")
    rebuild(out)
    assert not list(out.rglob(".*.part"))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run of"):
        rebuild(tmp_path)
    assert not list(tmp_path.iterdir())


def test_predict_leaves_a_report_that_lives_on_without_the_slide(
    tmp_path: Path, svs_slide: Path, model_file: Path
) -> None:
    slide = tmp_path / "slide.svs"
    shutil.copy(svs_slide, slide)
    folder = tmp_path / "out"
    predict(slide, folder, model_file)
    own = folder / "report" / "slide"
    pictures = sorted(path.name for path in own.glob("*.jpg"))
    assert "thumbnail.jpg" in pictures
    assert len(pictures) >= 3
    first = Page(own / "index.html")
    assert (own / "index.html").stat().st_size < 1_000_000
    assert "not at hand" not in first.text
    slide.unlink()
    (own / "index.html").unlink()
    rebuild(folder)
    again = Page(own / "index.html")
    assert sorted(path.name for path in own.glob("*.jpg")) == pictures
    assert [image["src"] for image in again.all("img")] == [image["src"] for image in first.all("img")]
    # And with nothing but the store and the table:
    shutil.rmtree(own)
    rebuild(folder)
    bare = Page(own / "index.html")
    assert "not at hand" in bare.text
    assert all((image["src"] or "").startswith("data:") for image in bare.all("img"))


def test_a_slide_done_before_gets_its_page_again_only_if_it_is_gone(
    tmp_path: Path, svs_slide: Path, model_file: Path
) -> None:
    predict(svs_slide, tmp_path, model_file)
    page = tmp_path / "report" / "slide" / "index.html"
    made = page.stat().st_mtime_ns
    predict(svs_slide, tmp_path, model_file)
    assert page.stat().st_mtime_ns == made
    page.unlink()
    (tmp_path / "index.html").unlink()
    predict(svs_slide, tmp_path, model_file)
    assert page.is_file()
    assert (tmp_path / "index.html").is_file()


def test_a_page_that_fails_is_a_warning(out: Path) -> None:
    write_slide(out, squares=2).parquet.unlink()
    warnings: list[str] = []
    with BatchPages(out, "auto", warnings.append) as pages:
        pages.add(SlideReport("slide", "x.svs"))
    (text,) = warnings
    assert "slide.parquet" in text


def test_a_stopped_batch_waits_for_no_page(out: Path) -> None:
    write_summary(out, [])
    with pytest.raises(KeyboardInterrupt), BatchPages(out, "auto", print):
        raise KeyboardInterrupt
    assert (out / "index.html").is_file()
