"""The page of a slide says what the store and the table hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_outputs import write_slide, write_table
from html_pages import Page

from wsiseg.errors import StoreError
from wsiseg.report.slide_page import write_slide_page


def test_a_page_says_what_the_slide_is(out: Path) -> None:
    failure = {"row": 0, "col": 0, "cause": "<script>alert(1)</script>"}
    outputs = write_slide(out, failures=(failure,), warnings="one & two; <three>", cause="a <b> cause")
    page = Page(write_slide_page(outputs, seconds=75.0))
    assert "100" in page.text
    assert "1 min 15 s" in page.text
    assert "a <b> cause" in page.text
    assert "<three>" in page.text
    assert len(page.all("script")) == 1
    (tile,) = page.all("rect", **{"class": "failed"})
    assert (tile["width"], tile["height"]) == ("600", "600")
    assert tile["data-tip"] == "not read: <script>alert(1)</script>"
    assert len(page.all("path", **{"class": "sure"})) + len(page.all("path", **{"class": "unsure"})) > 50
    assert all(image.get("alt") for image in page.all("img"))
    assert "The slide itself is not at hand" in page.text


def test_an_empty_slide_has_a_page(out: Path) -> None:
    outputs = write_slide(out, squares=0)
    text = Page(write_slide_page(outputs)).text
    assert "No nuclei." in text
    assert "No nuclei to map." in text


def test_a_table_of_other_settings_is_said(out: Path) -> None:
    outputs = write_slide(out)
    row = {
        "id": 1, "centroid_x_um": 1.0, "centroid_y_um": 1.0, "area_um2": 9.0, "circularity": 1.0,
        "mean_confidence": 0.7,
    }  # fmt: skip
    write_table(outputs, [row])
    assert "it has 1 nuclei, the store and the outlines below 100" in " ".join(
        Page(write_slide_page(outputs)).text.split()
    )


def test_a_table_that_is_gone_is_said(out: Path) -> None:
    outputs = write_slide(out)
    outputs.parquet.unlink()
    with pytest.raises(StoreError, match="wsiseg export"):
        write_slide_page(outputs)
