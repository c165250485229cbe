"""A read-only installation without a home still starts, and takes no folder that others could write."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from wsiseg.cli.compiled import keep_compiled_code


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine where only the folder for temporary files can be written."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", "to be restored")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_private_folder_is_taken_and_found_again(nowhere: Path) -> None:
    keep_compiled_code()
    folder = Path(os.environ.pop("NUMBA_CACHE_DIR"))
    assert folder.parent == nowhere
    assert folder.stat().st_mode & 0o777 == 0o700
    keep_compiled_code()
    assert Path(os.environ["NUMBA_CACHE_DIR"]) == folder


def test_a_folder_open_to_others_is_not_taken(nowhere: Path) -> None:
    keep_compiled_code()
    folder = Path(os.environ.pop("NUMBA_CACHE_DIR"))
    folder.chmod(0o777)
    keep_compiled_code()
    assert Path(os.environ["NUMBA_CACHE_DIR"]) != folder


def test_nothing_is_changed_where_numba_finds_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "chosen")
    keep_compiled_code()
    assert os.environ["NUMBA_CACHE_DIR"] == "chosen"
