"""The viewer in a real browser: what is drawn where, and what each control does."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import uvicorn
from numpy.typing import NDArray
from PIL import Image
from viewed_store import HEIGHT_L0, NUCLEI, WIDTH_L0, change, make_viewed

from wsiseg.viewer.app import create_app
from wsiseg.viewer.content import Content
from wsiseg.viewer.serve import listening
from wsiseg.viewer.viewed import open_viewed

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from conftest import Guard
    from playwright.sync_api import Page

TOKEN = "token"
ORANGE, GREEN, WHITE = (255, 157, 0), (0, 216, 90), (255, 255, 255)


@contextmanager
def served(store: Path) -> Iterator[str]:
    """Serve a store from a thread; give the address of its page."""
    with listening(0) as listener:
        port = listener.getsockname()[1]
        app = create_app(Content(open_viewed(store), "out/slide.zarr"), TOKEN, port)
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}/{TOKEN}/"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of a store of which everything is there."""
    with served(make_viewed(tmp_path_factory.mktemp("viewed"))) as found:
        yield found


@pytest.fixture
def visit(page: Page, guard: Guard) -> Callable[[str], Page]:
    """Open an address and wait until everything is drawn."""

    def go(address: str) -> Page:
        guard.allow(address.partition(f"/{TOKEN}")[0])
        page.goto(address)
        # the page's own policy forbids what Playwright would evaluate in it to wait for a condition
        page.wait_for_selector("#scale-text:not(:empty)")
        settle(page)
        return page

    return go


def settle(page: Page) -> None:
    """Wait until no tile is on its way and nothing moves."""
    page.wait_for_load_state("networkidle")
    before = None
    for _ in range(60):
        now = page.screenshot()
        if now == before:
            return
        before = now
        time.sleep(0.15)
    raise AssertionError("the page does not come to rest")


class Shot:
    """A screenshot of the whole slide at home, by places in level-0 pixels."""

    def __init__(self, page: Page) -> None:
        settle(page)
        rgb: NDArray[np.uint8] = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
        box = page.locator("#stage").bounding_box()
        assert box is not None
        self.rgb = rgb[: int(box["height"]), : int(box["width"])].astype(int)
        height, width = self.rgb.shape[:2]
        self.scale = min(width / WIDTH_L0, height / HEIGHT_L0)
        self.origin = ((width - WIDTH_L0 * self.scale) / 2, (height - HEIGHT_L0 * self.scale) / 2)

    def place(self, x_l0: float, y_l0: float) -> tuple[float, float]:
        return self.origin[0] + x_l0 * self.scale, self.origin[1] + y_l0 * self.scale

    def near(self, x_l0: float, y_l0: float, colour: tuple[int, int, int], reach: int = 2) -> bool:
        """Whether there is about this colour within so many pixels of a place."""
        x, y = (round(v) for v in self.place(x_l0, y_l0))
        around = self.rgb[y - reach : y + reach + 1, x - reach : x + reach + 1]
        return bool((np.abs(around - colour).max(axis=-1) < 90).any())

    def at(self, x_l0: float, y_l0: float) -> list[int]:
        x, y = (int(v) for v in self.place(x_l0, y_l0))
        return list(self.rgb[y, x])


def set_threshold(page: Page, percent: int) -> None:
    page.evaluate(
        """(value) => {
          const slider = document.getElementById("threshold");
          slider.value = value;
          slider.dispatchEvent(new Event("input", { bubbles: true }));
        }""",
        percent,
    )


def test_the_page_shows_the_slide_and_its_facts(visit: Callable[[str], Page], address: str) -> None:
    page = visit(address)
    assert page.title() == "slide - wsiseg"
    assert page.inner_text("#summary") == "5 nuclei; 1,200 × 900 px, 0.25 µm per px"
    assert page.inner_text("#threshold-value") == "0.40"
    assert page.is_hidden("#notes")
    assert page.is_hidden("#threshold-preview")
    shot = Shot(page)
    # a scale bar that is as long as it says
    line = page.locator("#scale-line").bounding_box()
    assert line is not None
    assert page.inner_text("#scale-text") == "20 µm"
    assert line["width"] == pytest.approx(20 / 0.25 * shot.scale, abs=1)
    assert page.inner_text("#magnification") == f"{40 * shot.scale:.2g}×"
    assert np.abs(np.array(shot.at(600, 450)) - (200, 160, 190)).max() < 8


def test_outlines_lie_on_their_nuclei_and_can_be_switched(visit: Callable[[str], Page], address: str) -> None:
    page = visit(address)
    edges = [(100, 80), (500, 120), (700, 630), (720, 630), (300, 710), (1060, 265)]
    shot = Shot(page)
    assert all(shot.near(*edge, GREEN) for edge in edges)
    page.uncheck("#show-outlines")
    shot = Shot(page)
    assert not any(shot.near(*edge, GREEN) for edge in edges)
    page.keyboard.press("o")
    assert page.is_checked("#show-outlines")
    shot = Shot(page)
    assert all(shot.near(*edge, GREEN) for edge in edges)
    # by area, the largest is yellow and the smallest blue
    page.select_option("#measure", "area_um2")
    shot = Shot(page)
    assert shot.near(700, 630, (255, 242, 0))
    assert shot.near(300, 710, (43, 92, 255)) or shot.near(1060, 265, (43, 92, 255))
    assert page.is_visible("#measure-key")


def test_the_threshold_acts_at_once(visit: Callable[[str], Page], address: str) -> None:
    page = visit(address)
    middles = [(120, 80), (520, 120), (745, 610), (310, 710), (1075, 265)]
    plain = Shot(page)
    assert not any(plain.near(*middle, ORANGE) for middle in middles)
    requests: list[str] = []
    page.on("request", lambda asked: requests.append(asked.url))
    for percent, kept in [(65, 2), (46, 4), (30, 5)]:
        set_threshold(page, percent)
        shot = Shot(page)
        expected = [mean >= percent / 100 for _, mean in NUCLEI]
        assert [shot.near(*middle, ORANGE) for middle in middles] == expected
        edges = [(100, 80), (500, 120), (760, 630), (300, 710), (1060, 265)]
        assert [shot.near(*edge, GREEN) for edge in edges] == expected
        assert page.inner_text("#threshold-count") == f"{kept} of 5 nuclei"
        assert page.inner_text("#export") == f"wsiseg export out/slide.zarr --threshold 0.{percent}"
    # colours change here, not on the server: nothing but the tiles of confidence was asked for, once
    assert all("/confidence/" in url for url in requests)
    assert len(requests) == len(set(requests))
    page.click("#copy")
    assert page.evaluate("navigator.clipboard.readText()").endswith("slide.zarr --threshold 0.30")
    page.keyboard.press("Backspace")
    assert page.inner_text("#threshold-value") == "0.40"
    assert page.is_hidden("#threshold-preview")


def test_confidence_and_tissue(visit: Callable[[str], Page], address: str) -> None:
    page = visit(address)
    plain = Shot(page)
    page.keyboard.press("c")
    shot = Shot(page)
    assert page.is_visible("#confidence-key")
    assert shot.at(120, 80) != plain.at(120, 80)
    assert shot.at(600, 450) == plain.at(600, 450)
    page.keyboard.press("c")
    page.keyboard.press("t")
    # the mask's pixels measure 100 px, and its outline runs where the first ones begin
    assert Shot(page).near(100, 450, (20, 67, 160), reach=3)
    page.keyboard.press("t")
    page.keyboard.down(" ")
    assert not Shot(page).near(100, 80, GREEN)
    page.keyboard.up(" ")
    assert Shot(page).near(100, 80, GREEN)
    page.keyboard.press("s")
    shot = Shot(page)
    assert min(shot.at(600, 450)) > 220
    assert shot.near(100, 80, GREEN)


def test_a_click_shows_what_was_measured(visit: Callable[[str], Page], address: str) -> None:
    page = visit(address)
    shot = Shot(page)
    for number, (x, y) in enumerate([(120, 80), (520, 120), (745, 610), (350, 710), (1075, 265)], start=1):
        page.mouse.click(*shot.place(x, y))
        page.wait_for_selector(f"#nucleus-title:text-is('Nucleus {number}')")
        area = f"{NUCLEI[number - 1][0].area / 16:.1f} µm²"
        assert area in page.inner_text("#measures")
        time.sleep(0.5)  # two clicks at once are a double click, which zooms
    assert "Haematoxylin OD\tnone" in page.inner_text("#measures")
    assert Shot(page).near(1060, 265, WHITE)
    page.mouse.click(*shot.place(600, 300))
    page.wait_for_selector("text=No nucleus there.")
    assert page.is_hidden("#measures")


def test_keys(visit: Callable[[str], Page], address: str) -> None:
    page = visit(address)
    home = page.inner_text("#magnification")
    page.keyboard.press("]")
    page.keyboard.press("Shift+}")
    assert page.inner_text("#threshold-value") == "0.46"
    page.keyboard.press("[")
    assert page.inner_text("#threshold-value") == "0.45"
    page.keyboard.press("n")
    page.wait_for_selector("text=Nucleus 5")
    settle(page)
    assert page.inner_text("#magnification") == "40×"
    page.keyboard.press("n")
    page.wait_for_selector("text=Nucleus 2")
    page.keyboard.press("p")
    page.wait_for_selector("text=Nucleus 5")
    page.keyboard.press("Escape")
    assert page.is_visible("#nucleus-hint")
    page.keyboard.press("3")
    settle(page)
    assert page.inner_text("#magnification") == "20×"
    page.keyboard.press("+")
    settle(page)
    assert page.inner_text("#magnification") == "40×"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("0")
    settle(page)
    assert page.inner_text("#magnification") == home
    # a slider that was used keeps its arrows, and nothing else
    page.focus("#opacity")
    page.keyboard.press("ArrowRight")
    assert page.input_value("#opacity") == "61"
    page.keyboard.press("d")
    assert not page.is_checked("#show-density")
    page.keyboard.press("?")
    assert page.is_visible("#help")
    for words in ("next least certain nucleus", "threshold up by 0.01", "hold: the slide alone"):
        assert words in page.inner_text("#help")
    page.keyboard.press("o")
    assert page.is_checked("#show-outlines")
    page.keyboard.press("Escape")
    assert page.is_hidden("#help")


def test_far_away_density_stands_for_outlines(
    visit: Callable[[str], Page], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with served(make_viewed(tmp_path_factory.mktemp("coarse"), mpp=3.0)) as address:
        page = visit(address)
        assert page.is_hidden("#density-key")
        page.keyboard.press("-")
        settle(page)
        assert page.is_visible("#density-key")
        assert "nuclei per mm²" in page.inner_text("#density-key")
        assert page.inner_text("#outlines-hint") == "when closer"
        with_density = page.screenshot()
        page.keyboard.press("d")
        settle(page)
        assert page.is_hidden("#density-key")
        assert page.screenshot() != with_density
        page.keyboard.press("d")
        page.keyboard.press("]")
        settle(page)
        with page.expect_response(lambda answer: "density?threshold=0.9" in answer.url):
            set_threshold(page, 90)
        settle(page)


def test_without_the_slide_the_stain_is_shown_and_said(
    visit: Callable[[str], Page], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = make_viewed(tmp_path_factory.mktemp("alone"))
    store.with_name("slide.png").unlink()
    change(store, failures=[{"row": 0, "col": 0, "cause": "cut off"}], name="<img src=x onerror=alert(1)>")
    with served(store) as address:
        page = visit(address)
        assert page.inner_text("#name") == "<img src=x onerror=alert(1)>"
        assert page.inner_text("#slide-label") == "Haematoxylin"
        notes = page.inner_text("#notes")
        assert "--slide PATH" in notes
        assert "could not be read" in notes
        shot = Shot(page)
        assert min(shot.at(600, 450)) > 240
        assert max(shot.at(120, 80)[:2]) < 120
        assert shot.near(600, 1, (208, 32, 32))


def test_when_the_viewer_has_ended_the_page_says_so(
    visit: Callable[[str], Page], guard: Guard, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with served(make_viewed(tmp_path_factory.mktemp("ended"))) as address:
        page = visit(address)
        shot = Shot(page)
    page.mouse.click(*shot.place(120, 80))
    page.wait_for_selector("#trouble:not([hidden])")
    assert "Start `wsiseg view` again" in page.inner_text("#trouble")
    guard.problems.clear()
