"""What `--select` takes."""

from __future__ import annotations

import pytest

from wsiseg.errors import UsageError
from wsiseg.training.selection import parse_selection


def test_selections_are_read():
    assert parse_selection(" 3:1 ") == (3, 1)
    for wrong in ("", "3", "3:", "a:b", "-1:0", "1:2:3"):
        with pytest.raises(UsageError):
            parse_selection(wrong)
