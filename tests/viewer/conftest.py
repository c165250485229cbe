"""Fixtures of the viewer's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from viewed_store import make_viewed

from wsiseg.viewer.content import Content
from wsiseg.viewer.viewed import open_viewed


@pytest.fixture(scope="session")
def viewed_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store made by hand, not to be changed."""
    return make_viewed(tmp_path_factory.mktemp("viewed"))


@pytest.fixture
def content(viewed_store: Path) -> Content:
    """What the browser would get of it."""
    return Content(open_viewed(viewed_store), str(viewed_store))
