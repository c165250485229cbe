"""A real browser, without a screen, that lets nothing leave the machine and forgives no error on a page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Even what a page would try without a request that can be seen finds no host.
FLAGS = ("--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
TIMEOUT_MS = 20_000


@dataclass
class Guard:
    """What pages may ask for besides files, and what they did wrong.

    `allow("http://127.0.0.1:8000")` lets pages talk to the test's own server. A test that provokes an error
    on purpose takes it out of `problems`.
    """

    problems: list[str] = field(default_factory=list)
    origins: set[str] = field(default_factory=set)

    def allow(self, origin: str) -> None:
        """Let pages talk to a server of the test's own."""
        assert origin.startswith("http://127.0.0.1:"), origin
        self.origins.add(origin.rstrip("/"))

    def allows(self, url: str) -> bool:
        """Whether a request stays on the machine."""
        return url.startswith(("file:", "data:", "blob:", "about:")) or any(
            url.startswith(f"{origin}/") for origin in self.origins
        )

    def watch(self, page: Page) -> None:
        """Write down what a page does wrong; requests that would leave are stopped."""
        page.on("console", lambda said: self._said(said.type, said.text))
        page.on("pageerror", lambda error: self.problems.append(f"error on the page: {error}"))
        page.on("request", self._asked)
        page.on("requestfailed", lambda asked: self._failed(asked))
        page.on("response", lambda got: self._answered(got.url, got.status))

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.problems.append(f"console {kind}: {text}")

    def _asked(self, request: Request) -> None:
        if not self.allows(request.url):
            self.problems.append(f"asked for {request.url}")

    def _failed(self, request: Request) -> None:
        # What the page itself gave up, for example tiles out of sight, is no failure.
        if request.failure != "net::ERR_ABORTED":
            self.problems.append(f"not got: {request.url}: {request.failure}")

    def _answered(self, url: str, status: int) -> None:
        if status >= 400:
            self.problems.append(f"{status}: {url}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; of a module, as its event loop would be in the way of other tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    program = os.environ.get("WSISEG_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed (or name it: WSISEG_TEST_CHROMIUM)")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=program, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def guard() -> Guard:
    """What this test's pages may do, and did."""
    return Guard()


@pytest.fixture
def open_window(browser: Browser, guard: Guard) -> Iterator[Callable[..., Page]]:
    """Open windows (`open_window(width=1280, height=900, colour_scheme="light")`); each is guarded."""
    contexts = []

    def open_one(width: int = 1280, height: int = 900, colour_scheme: str = "light") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=colour_scheme,
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        context.route(lambda url: not guard.allows(url), lambda route: route.abort())
        context.on("page", guard.watch)
        return context.new_page()

    yield open_one
    for context in contexts:
        context.close()
    assert guard.problems == []


@pytest.fixture
def page(open_window: Callable[..., Page]) -> Page:
    """One guarded window of 1280 x 900."""
    return open_window()
