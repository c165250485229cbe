"""Fixtures of the reports' tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / 'o\'u "t" ü'
    folder.mkdir()
    return folder
