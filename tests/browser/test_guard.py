"""The guard of the browser tests does see what it has to see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from conftest import Guard
    from playwright.sync_api import Page


def taken(guard: Guard) -> str:
    """Return the problems so far and forget them."""
    found, guard.problems[:] = " | ".join(guard.problems), []
    return found


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<script>console.error('broken')</script>", "console error: broken"),
        ("<script>nothing.here()</script>", "nothing is not defined"),
        ("<img src='https://example.org/a.png'>", "asked for https://example.org/a.png"),
        ("<img src='http://127.0.0.1:9/a.png'>", "asked for http://127.0.0.1:9/a.png"),
        ("<img src='absent.png'>", "not got: file:"),
    ],
)
def test_what_a_page_does_wrong_is_seen(
    tmp_path_factory: pytest.TempPathFactory, page: Page, guard: Guard, body: str, expected: str
) -> None:
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(f"<!doctype html><meta charset=utf-8><title>page</title>{body}")
    page.goto(file.as_uri())
    page.wait_for_load_state("networkidle")
    assert expected in taken(guard)


def test_a_quiet_page_passes(page: Page, guard: Guard) -> None:
    page.set_content("<!doctype html><p>quiet <img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='></p>")
    assert page.inner_text("p").strip() == "quiet"
    assert guard.problems == []


def test_only_this_machine_can_be_allowed(guard: Guard) -> None:
    guard.allow("http://127.0.0.1:8000/")
    assert guard.allows("http://127.0.0.1:8000/tile")
    assert not guard.allows("http://127.0.0.1:80001/tile")
    with pytest.raises(AssertionError):
        guard.allow("http://0.0.0.0:8000")
