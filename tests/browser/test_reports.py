"""The reports in a browser, opened as files from a folder with spaces and quotes: they do what they say."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fake_outputs import NASTY, write_slide, write_summary
from small_fit import small_fit

from wsiseg import predict
from wsiseg.report.batch_index import write_index
from wsiseg.report.batch_pages import rebuild

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER = 'o\'u "t" & ü 100%'
CONTRAST = """
() => {
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (; element; element = element.parentElement) {
      const colour = numbers(getComputedStyle(element).backgroundColor);
      if (colour.length < 4 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (element.closest(".stack, script, svg")) continue;
    const [a, b] = [light(numbers(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`${walker.currentNode.data.trim()}: ${ratio.toFixed(1)}`);
  }
  return found;
}
"""
NAMELESS = """
() => [...document.querySelectorAll("button, a, input, img")].filter(element => element.checkVisibility()
  && !(element.ariaLabel || element.textContent.trim() || element.alt || element.closest("label")
       || element.closest("[aria-hidden=true]") || element.getAttribute("alt") === "")).map(e => e.outerHTML)
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, small_slide: Path, model_file: Path) -> Path:
    """Four slides: one with its pictures, two whose slide is gone, one that failed."""
    folder = tmp_path_factory.mktemp("reports") / FOLDER
    broken = tmp_path_factory.mktemp("broken") / "broken.svs"
    broken.write_bytes(b"no slide")
    predict([small_slide, broken], folder, model_file, slide_mpp=0.25)
    write_slide(folder, "a second one", squares=8)
    failure = {"row": 0, "col": 0, "cause": "cannot be decoded"}
    write_slide(folder, "ünï 100%", squares=3, failures=(failure,), warnings="a warning")
    rebuild(folder)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two repeats of two epochs."""
    folder = tmp_path_factory.mktemp("runs") / FOLDER
    small_fit(tmp_path_factory.mktemp("images"), folder)
    return folder


def shown(page: Page) -> list[str]:
    """Return the names in the table, as they are shown."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('#slides tbody th')].filter(one => one.checkVisibility())"
        ".map(one => one.innerText)"
    )
    return found


def copied(page: Page) -> str:
    """Return what is in the clipboard."""
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


def test_the_table_sorts(page: Page, out: Path) -> None:
    page.goto((out / "index.html").as_uri())
    names = shown(page)
    assert names == ["a second one", "broken", "small", "ünï 100%"]
    counts = dict(zip(names, page.locator("#slides tbody tr td:nth-child(4)").all_inner_texts(), strict=True))
    assert (counts["a second one"], counts["broken"], counts["ünï 100%"]) == ("64", "–", "9")
    nuclei = page.get_by_role("button", name="nuclei", exact=True)
    nuclei.click()
    known = [name for name in names if name != "broken"]
    falling = sorted(known, key=lambda name: -int(counts[name].replace(",", "")))
    assert shown(page) == [*falling, "broken"], "what has no number comes last"
    head = page.get_by_role("columnheader", name="nuclei", exact=True)
    assert head.get_attribute("aria-sort") == "descending"
    nuclei.press("Enter")
    assert shown(page) == [*falling[::-1], "broken"]
    page.get_by_role("button", name="slide", exact=True).click()
    assert shown(page) == names
    assert head.get_attribute("aria-sort") == "none"


def test_the_table_is_searched(page: Page, out: Path) -> None:
    page.goto((out / "index.html").as_uri())
    box = page.get_by_role("searchbox")
    box.fill("SECOND a")
    assert shown(page) == ["a second one"]
    assert page.locator("output").inner_text() == "1 shown"
    box.fill("warning")
    assert shown(page) == ["ünï 100%"]
    box.fill("")
    page.get_by_role("button", name="failed 1").click()
    assert shown(page) == ["broken"]
    box.fill("nothing like this")
    assert shown(page) == []
    assert page.get_by_text("No slide matches.").is_visible()


def test_from_the_table_to_a_slide_and_back(page: Page, out: Path) -> None:
    index, a_page = (out / "index.html").as_uri(), "**/report/*/index.html"
    page.goto(index)
    page.get_by_role("link", name="ünï 100%").click()
    page.wait_for_url(a_page)
    assert page.locator("h1").inner_text().startswith("ünï 100%")
    assert page.locator("rect.failed").count() == 1
    page.get_by_role("link", name="all slides").click()
    page.wait_for_url(index)
    assert page.locator("#slides").is_visible()
    page.get_by_role("link", name="small").click()
    page.wait_for_url(a_page)
    loaded = (
        "[...document.images].filter(i => i.loading !== 'lazy').every(i => i.complete && i.naturalWidth > 0)"
    )
    # Not waited for by a function: the page's policy forbids to evaluate it a second time.
    assert page.evaluate(loaded)
    assert page.locator("img[src='thumbnail.jpg']").count() == 1


def test_pictures_enlarge(page: Page, out: Path) -> None:
    page.goto((out / "report" / "a second one" / "index.html").as_uri())
    first = page.get_by_role("button", name="Enlarge: random field 1")
    first.click()
    dialog = page.get_by_role("dialog")
    assert "random field 1" in dialog.inner_text()
    size = dialog.locator("img").bounding_box()
    assert size is not None
    assert size["width"] > 600
    assert size["width"] == pytest.approx(size["height"], abs=2)
    page.keyboard.press("ArrowRight")
    assert "random field 2" in dialog.inner_text()
    dialog.get_by_role("button", name="Previous picture").click()
    assert "random field 1" in dialog.inner_text()
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert first.evaluate("button => button === document.activeElement")


def test_outlines_are_switched(page: Page, out: Path) -> None:
    page.goto((out / "report" / "a second one" / "index.html").as_uri())
    outline = page.locator(".outlines path").first
    assert outline.is_visible()
    page.get_by_label("show outlines").uncheck()
    assert not outline.is_visible()


def test_what_is_under_the_pointer_is_said(page: Page, out: Path) -> None:
    page.goto((out / "report" / "a second one" / "index.html").as_uri())
    tip = page.locator("#tip")
    squares = page.locator("[data-density]")
    box = squares.bounding_box()
    assert box is not None
    # Squares are 50 um of 300: the first one holds 3 x 3 nuclei, the last one is off the tissue.
    squares.hover(position={"x": box["width"] / 12, "y": box["height"] / 12})
    assert tip.inner_text() == "3,600 nuclei per mm²"
    squares.hover(position={"x": box["width"] * 11 / 12, "y": box["height"] / 12})
    assert tip.inner_text() == "no tissue"
    page.locator(".chart g").first.hover()
    assert "nuclei (" in tip.inner_text()
    page.locator("h1").hover()
    assert not tip.is_visible()


def test_commands_are_copied(page: Page, out: Path, run: Path) -> None:
    page.goto((out / "report" / "a second one" / "index.html").as_uri())
    page.locator("button[data-copy*=' view ']").click()
    assert copied(page) == f"wsiseg view {shlex.quote(str(out / 'a second one.zarr'))}"
    page.goto((run / "report.html").as_uri())
    page.locator("button.choose").nth(3).click()
    assert copied(page) == f"wsiseg fit --select 2:1 -o {shlex.quote(str(run))}"
    assert page.locator("button.choose").nth(3).inner_text() == "Copied"
    page.locator("button.choose").nth(3).get_by_text("Copy").wait_for()


def test_a_cell_of_the_contact_sheet_enlarges_beside_the_samples(page: Page, run: Path) -> None:
    page.goto((run / "report.html").as_uri())
    page.get_by_role("button", name="Enlarge Repeat 2, channel 0").click()
    dialog = page.get_by_role("dialog")
    assert "Repeat 2, channel 0: score" in dialog.inner_text()
    assert [image.get_attribute("alt") for image in dialog.locator("img").all()] == [
        "Sample 1", "Sample 2", "Repeat 2, channel 0 on sample 1", "Repeat 2, channel 0 on sample 2",
    ]  # fmt: skip
    tops = [box["y"] for image in dialog.locator("img").all() if (box := image.bounding_box())]
    assert tops[0] == tops[1] < tops[2] == tops[3]
    dialog.get_by_role("button", name="Close").click()
    assert not dialog.is_visible()


def test_curves_say_their_values(page: Page, run: Path) -> None:
    page.goto((run / "report.html").as_uri())
    chart = page.locator("[data-curves] svg").first
    box = chart.bounding_box()
    assert box is not None
    chart.hover(position={"x": box["width"] - 3, "y": 20})
    said = page.locator("#tip").inner_text().splitlines()
    assert said[0] == "epoch 2"
    assert [line.split(":")[0] for line in said[1:]] == ["Repeat 1", "Repeat 2"]
    chart.hover(position={"x": 60, "y": 20})
    assert page.locator("#tip").inner_text().startswith("epoch 1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_all_pages_can_be_read(
    open_window: Callable[..., Page], out: Path, run: Path, scheme: str, width: int
) -> None:
    page = open_window(width=width, colour_scheme=scheme)
    for path in (out / "index.html", out / "report" / "ünï 100%" / "index.html", run / "report.html"):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path.name
        assert page.evaluate(CONTRAST) == []
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate("[...document.querySelectorAll('table')].every(table => table.caption)")


def test_nothing_from_a_file_runs(page: Page, tmp_path: Path) -> None:
    evil = "<img src=x onerror=\"document.title='got you'\"><script>document.title='got you'</script>"
    rows: list[dict[str, Any]] = [
        {"name": NASTY, "state": "failed", "cause": evil},
        {"name": evil, "state": "failed", "warnings": "</script>" + evil},
    ]
    write_summary(tmp_path, rows)
    page.goto(write_index(tmp_path).as_uri())
    assert sorted(shown(page)) == sorted([NASTY, evil])
    assert "got you" not in page.title()
    assert page.locator("img").count() == 0


def test_five_hundred_slides_are_sorted_and_searched_at_once(page: Page, tmp_path: Path) -> None:
    rows = [{"name": f"slide {i}", "nuclei": (i * 7919) % 500, "seconds": 1.0 + i} for i in range(500)]
    write_summary(tmp_path, rows)
    page.goto(write_index(tmp_path).as_uri())
    assert len(shown(page)) == 500
    timed = """
    what => {
      const before = performance.now();
      what();
      document.body.offsetHeight;
      return performance.now() - before;
    }
    """
    sorting = f"({timed})(() => document.querySelectorAll('#slides thead button')[2].click())"
    assert page.evaluate(sorting) < 2000
    assert shown(page)[0] == next(str(row["name"]) for row in rows if row["nuclei"] == 499)
    page.get_by_role("searchbox").fill("49 slide")
    assert sorted(shown(page)) == sorted(str(row["name"]) for row in rows if "49" in str(row["name"]))
