"""The table of all slides of a folder."""

from __future__ import annotations

import re
import time
from pathlib import Path
from urllib.parse import unquote

from fake_outputs import NASTY, write_slide, write_summary
from html_pages import Page

from wsiseg.report.batch_index import write_index
from wsiseg.report.slide_page import write_slide_page
from wsiseg.store.outputs import Outputs


def test_links_work_whatever_the_names_are(out: Path) -> None:
    names = ["slide", "ünï 100% #1+?", "a'b&c"]
    for name in names:
        write_slide_page(write_slide(out, name, squares=2))
    write_summary(out, [{"name": name} for name in names])
    index = Page(write_index(out))
    links = {found["href"] for found in index.all("a") if "report" in (found["href"] or "")}
    assert {unquote(href or "") for href in links} == {f"report/{name}/index.html" for name in names}
    assert all((out / unquote(href or "")).is_file() for href in links)


def test_what_comes_from_files_is_escaped(out: Path) -> None:
    write_summary(
        out,
        [
            {"name": NASTY, "state": "failed", "cause": "</td><script>alert(1)</script>", "warnings": "<i>"},
            {"name": "../../etc", "state": "done"},
            {"name": "'\"><img src=x onerror=alert(1)>", "state": "<b>"},
        ],
    )
    page = Page(write_index(out))
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert not page.all("i")
    assert not [found for found in page.all("a") if "etc" in (found["href"] or "")]
    assert "<script>alert(1)</script>" in page.text
    assert NASTY in page.text


def test_only_our_own_script_may_run(out: Path) -> None:
    write_summary(out, [])
    page = Page(write_index(out))
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert re.fullmatch(
        r"default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'; "
        r"script-src 'sha256-[\w+/=]{44}'",
        policy["content"] or "",
    )


def test_a_slide_that_failed_is_in_the_table_without_a_page(out: Path) -> None:
    write_slide_page(write_slide(out, "twin", squares=2))
    write_summary(
        out, [{"name": "twin"}, {"name": "twin", "path": "b.svs", "state": "failed", "cause": "broken"}]
    )
    page = Page(write_index(out))
    assert len(page.all("tr", **{"data-state": "failed"})) == 1
    assert (
        len([a for a in page.all("a") if a["href"] == "report/twin/index.html" and "tabindex" not in a]) == 1
    )


def test_slides_that_the_summary_forgot_are_in_the_table(out: Path) -> None:
    write_slide(out, "kept", squares=2)
    (out / "broken.zarr").mkdir()
    page = Page(write_index(out))
    assert "kept" in page.text
    assert len(page.all("tr", **{"data-state": "done"})) == 1
    assert len(page.all("tr", **{"data-state": "failed"})) == 1


def test_five_hundred_slides_make_a_small_table_fast(out: Path) -> None:
    rows = [
        {
            "name": f"TCGA-{i:04d}-01Z-00-DX1", "path": f"/slides/TCGA-{i:04d}.svs", "nuclei": 1000 * i,
            "state": "failed" if i % 50 == 0 else "done", "seconds": 60.0 + i, "tissue_mm2": 100.0 + i,
            "cause": "cannot be decoded: " + "x" * 150 if i % 50 == 0 else "", "tiles": 1000,
        }
        for i in range(500)
    ]  # fmt: skip
    write_summary(out, rows)
    write_index(out)
    before = time.process_time()
    page = write_index(out)
    assert time.process_time() - before < 2.0
    assert page.stat().st_size < 600_000
    states = [row["data-state"] for row in Page(page).all("tr") if "data-state" in row]
    assert (len(states), states.count("failed")) == (500, 10)


def test_outputs_of_a_slide_are_found(out: Path) -> None:
    outputs = write_slide(out, squares=1)
    assert outputs == Outputs(out, "slide")
