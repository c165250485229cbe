"""Numbers, times and links as pages show them."""

from __future__ import annotations

import pytest

from wsiseg.command_text import command_line
from wsiseg.report.page import duration, link, number


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
