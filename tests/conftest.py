"""Fixtures shared by all rooms."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED_DATA = Path(os.environ.get("WSISEG_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real slides and images beside the project; tests that need them skip where they are not."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real slides are not beside the project (set WSISEG_TEST_DATA to a folder with slides/, free/, monuseg/)")
    return SHARED_DATA
