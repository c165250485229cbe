"""The report of predict: what it says is what the store and the table hold."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from fake_outputs import NASTY, write_slide, write_summary, write_table
from html_pages import Page

from wsiseg import predict
from wsiseg.command_text import command_line
from wsiseg.errors import StoreError, UsageError
from wsiseg.inference.slide_report import SlideReport
from wsiseg.report.batch_index import write_index
from wsiseg.report.batch_pages import BatchPages, rebuild
from wsiseg.report.charts import curves, histogram, nice_ticks, nice_top
from wsiseg.report.page import duration, link, number
from wsiseg.report.sample_fields import choose_fields, outlines
from wsiseg.report.slide_maps import coarser
from wsiseg.report.slide_numbers import Lattice, Spread, count_up
from wsiseg.report.slide_page import write_slide_page
from wsiseg.slides.tissue import Tissue
from wsiseg.store.identity import FrameInfo
from wsiseg.store.outputs import Outputs
from wsiseg.store.slide_store import SlideStore
from wsiseg.tiles import Box


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / 'o\'u "t" ü'
    folder.mkdir()
    return folder


def test_numbers_are_those_of_the_table(out: Path) -> None:
    outputs = write_slide(out)
    numbers = count_up(outputs.parquet, SlideStore(outputs.store).frame)
    assert numbers.nuclei == numbers.in_square.sum() == numbers.in_cell.sum() == 100
    assert numbers.area.quantile(0.5) == pytest.approx(16.0, abs=0.3)
    assert numbers.circularity.quantile(0.5) == pytest.approx(0.785, abs=0.005)
    # 300 um in squares of 50; centroids are at 12, 27, ... 147 um: 3, 3 and 4 along a side.
    assert (numbers.squares.rows, numbers.squares.cols) == (6, 6)
    assert numbers.in_square.reshape(6, 6)[:3, :3].tolist() == [[9, 9, 12], [9, 9, 12], [12, 12, 16]]


def test_density_is_per_mm2_of_tissue(out: Path) -> None:
    outputs = write_slide(out, squares=19)
    store = SlideStore(outputs.store)
    numbers = count_up(outputs.parquet, store.frame)
    density = numbers.density(store.tissue, store.frame)
    # Square (1, 1) is all tissue; (0, 3) has nuclei and no tissue: it counts as a quarter of one.
    assert density[1, 1] == pytest.approx(9 / 0.0025)
    assert density[0, 3] == pytest.approx(9 / (0.25 * 0.0025))
    empty = count_up(write_slide(out, "empty", squares=0).parquet, store.frame)
    assert np.isnan(empty.density(store.tissue, store.frame)[:, 3:]).all()
    assert (empty.density(store.tissue, store.frame)[:, :3] == 0).all()


def test_tissue_shares_are_areas() -> None:
    mask = np.array([[True, False], [False, False]])
    shares = Lattice(1, 3, 10.0, 20.0).tissue_shares(Tissue(mask, 30.0), FrameInfo(60, 40, 0.5, 1.0))
    # A mask pixel is 15 um: the first column of cells (0 to 10 um) is tissue down to 15 of 20 um.
    assert shares == pytest.approx(np.array([[0.75, 0.375, 0.0]]))


def test_the_outline_of_a_fine_mask_is_drawn_coarser_at_its_place() -> None:
    mask = np.zeros((1300, 2000), np.bool_)
    mask[400:800, 1000:1600] = True
    (ring,) = (tissue := coarser(Tissue(mask, 4.0), 500)).outlines_l0()
    assert tissue.mask.shape == (325, 500)
    assert ring.min(0) == pytest.approx([4000, 1600], abs=8)
    assert ring.max(0) == pytest.approx([6400, 3200], abs=8)


def test_spreads_count_everything_once() -> None:
    spread = Spread(10.0, 20)
    spread.add(np.array([0.0, 0.49, 5.0, 99.0, np.nan, -1.0]))
    assert spread.counts.sum() == 5
    assert (spread.counts[0], spread.counts[10], spread.counts[-1]) == (3, 1, 1)
    assert Spread(1.0, 10).quantile(0.5) is None


def test_fields_are_the_same_each_time_and_the_least_certain_are(out: Path) -> None:
    outputs = write_slide(out, squares=19)
    store = SlideStore(outputs.store)
    numbers = count_up(outputs.parquet, store.frame)
    drawn, unsure = choose_fields(numbers, store, count=1)
    assert choose_fields(numbers, store, count=1) == (drawn, unsure)
    assert len(drawn) == len(unsure) == 1
    # Confidence falls from row to row of nuclei, and the lower cells reach down to the last one.
    assert unsure[0].y0 > 150
    assert drawn[0].x1 <= 450, "half a field may lie off the tissue, not more"
    assert (drawn[0].width, drawn[0].height) == (256, 256)


def test_outlines_are_those_of_the_labels(out: Path) -> None:
    store = SlideStore(write_slide(out).store)
    found = outlines(store, Box(10, 10, 60, 60))
    assert [nucleus.id for nucleus in found] == [1, 2, 11, 12]
    assert [round(nucleus.confidence, 2) for nucleus in found] == [1.0, 1.0, 0.95, 0.95]
    points = np.array([pair.split() for pair in re.split("[ML]", found[0].path.rstrip("Z")) if pair], float)
    # The square [20, 28] of the frame, seen from (10, 10); smoothing rounds its corners.
    assert np.abs(points.min(0) - 10).max() < 0.7
    assert np.abs(points.max(0) - 18).max() < 0.7


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


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234567, "1,234,567"), (0.04567, "0.0457"), (12.34, "12.3"), (None, "–"), (float("nan"), "–"),
     (100.0, "100"), (-2.5, "-2.5")],
)  # fmt: skip
def test_numbers_for_reading(value: float | None, text: str) -> None:
    assert number(value) == text


def test_times_for_reading() -> None:
    assert [duration(s) for s in (0.5, 61, 3725, None)] == ["0.5 s", "1 min 01 s", "1 h 02 min", "–"]


def test_links_and_commands_hold_any_name() -> None:
    assert link("report", "a b#1%/x") == "report/a%20b%231%25%2Fx"
    assert command_line("wsiseg", "view", "a b's") == "wsiseg view 'a b'\"'\"'s'"


def test_ticks_are_round() -> None:
    assert nice_ticks(0, 1, 5) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert nice_ticks(3, 3, 5) == [3]
    assert [nice_top(v) for v in (0, 0.9, 1.2, 7, 9.5, 4321)] == [1, 1, 1.5, 8, 10, 5000]


def test_a_histogram_shows_each_nucleus_once() -> None:
    spread = Spread(1000.0, 2000)
    spread.add(np.concatenate([np.linspace(10, 60, 997), [0.1, 900.0, 5000.0]]))
    chart = histogram("Area", "µm²", spread)
    counts = [int(bar.tip.split(": ")[1].split(" nuclei")[0].replace(",", "")) for bar in chart.bars]
    assert sum(counts) == 1000
    assert len(chart.bars) <= 40
    assert chart.bars[-1].x + chart.bars[-1].width == pytest.approx(chart.width, abs=0.1)
    assert "Median 35" in chart.summary


def test_a_histogram_of_one_value_has_bars() -> None:
    spread = Spread(1.0, 200)
    spread.add(np.ones(5))
    chart = histogram("Circularity", "", spread)
    assert sum(bar.height > 0 for bar in chart.bars) == 1
    assert max(bar.x + bar.width for bar in chart.bars) <= chart.width + 0.1


def test_curves_break_where_nothing_was_recorded() -> None:
    chart = curves("Loss", "", "", [("Repeat 1", True, [1.0, None, 3.0, 2.0]), ("Repeat 2", False, [2.0])])
    (other, chosen) = chart.lines
    assert chosen.name == "Repeat 1"
    assert chosen.path.count("M") == 2
    assert other.path.endswith("h3")
    assert chart.values is not None
    assert chart.values["epoch"] == [1, 2, 3, 4]
    assert curves("Loss", "", "", [("Repeat 1", True, [None])]).lines == ()


def test_outputs_of_a_slide_are_found(out: Path) -> None:
    outputs = write_slide(out, squares=1)
    assert outputs == Outputs(out, "slide")
