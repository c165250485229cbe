"""Which store is meant by a path."""

from __future__ import annotations

from pathlib import Path

from wsiseg.store.finished import store_at


def test_a_folder_with_one_store_stands_for_it(tmp_path: Path) -> None:
    for name in ("a.zarr", "a.zarr.unfinished"):
        (tmp_path / name).mkdir()
    assert store_at(tmp_path) == store_at(tmp_path / "a.zarr") == tmp_path / "a.zarr"
    (tmp_path / "b.zarr").mkdir()
    assert store_at(tmp_path) == tmp_path
    assert store_at(tmp_path / "nowhere") == tmp_path / "nowhere"
