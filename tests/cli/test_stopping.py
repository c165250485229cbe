"""What is said at the end of a command that a signal stopped."""

from __future__ import annotations

import pytest

from wsiseg.cli.stopping import EXIT_INTERRUPTED, EXIT_TERMINATED, last_words


@pytest.mark.parametrize("command", ["fit", "predict"])
def test_what_can_be_gone_on_with_is_said(command: str) -> None:
    expected = "interrupted; what is done is kept, the same command goes on from there"
    assert last_words(EXIT_INTERRUPTED, command) == expected


@pytest.mark.parametrize("command", ["view", "demo", "--version", None])
def test_nothing_is_promised_of_what_begins_anew(command: str | None) -> None:
    assert last_words(EXIT_TERMINATED, command) == "terminated"
