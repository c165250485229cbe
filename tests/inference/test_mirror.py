"""What of a folder goes to a prefix of an object store, and what in it is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pytest

from wsiseg.errors import StoreError
from wsiseg.inference.mirror import Mirror
from wsiseg.machine.marks import is_ours, stand_in

NAMES = ("a.geojson", "a.geojson.gz", "a.parquet", "a.preview.jpg", "report/a/index.html")


@pytest.fixture
def fs() -> Any:
    """An empty object store."""
    found = fsspec.filesystem("memory", skip_instance_cache=True)
    found.store.clear()
    return found


@pytest.fixture
def mirror(tmp_path: Path, fs: Any) -> Mirror:
    """A folder and the prefix /out."""
    return Mirror(tmp_path, fs, "/out")


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(stand_in(name))


def test_new_and_changed_files_are_put_and_deleted_ones_removed(
    tmp_path: Path, fs: Any, mirror: Mirror
) -> None:
    write(tmp_path, *NAMES, ".a.lock", "b.parquet.partial")
    mirror.put(mirror.files())
    assert sorted(mirror.sent) == sorted(NAMES)
    assert sorted(fs.find("/out")) == sorted(f"/out/{name}" for name in NAMES)
    (tmp_path / "a.geojson").write_bytes(b"changed")
    mirror.put({"a.geojson": mirror.stamp("a.geojson")})
    assert fs.cat_file("/out/a.geojson") == b"changed"
    mirror.remove(["a.geojson"])
    mirror.remove_below("report/a")
    assert not fs.exists("/out/a.geojson")
    assert sorted(mirror.sent) == ["a.geojson.gz", "a.parquet", "a.preview.jpg"]


def test_a_stand_in_is_one_of_our_files(tmp_path: Path) -> None:
    write(tmp_path, *NAMES)
    assert all(is_ours(tmp_path / name) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_object_that_wsiseg_did_not_make_stays(tmp_path: Path, fs: Any, mirror: Mirror, name: str) -> None:
    fs.pipe_file(f"/out/{name}", b"a user's")
    write(tmp_path, name)
    assert mirror.is_foreign(name)
    with pytest.raises(StoreError, match="wsiseg did not make this file"):
        mirror.put(mirror.files())
    assert fs.cat_file(f"/out/{name}") == b"a user's"


def test_an_object_of_an_earlier_run_is_replaced(tmp_path: Path, fs: Any, mirror: Mirror) -> None:
    fs.pipe_file("/out/a.html", stand_in("a.html") + b"before")
    write(tmp_path, "a.html")
    assert not mirror.is_foreign("a.html")
    mirror.put(mirror.files())
    assert fs.cat_file("/out/a.html") == stand_in("a.html")


@pytest.mark.parametrize(
    ("objects", "foreign"),
    [
        ({}, False),
        ({"zarr.json": b'{"attributes": {"wsiseg": {}}}', "0/c/0/0": b""}, False),
        ({"status/objects/c/0/0": b"", "0/c/0/0": b""}, False),
        ({"zarr.json": b'{"attributes": {}}', "0/c/0/0": b""}, True),
        ({"notes.txt": b""}, True),
    ],
    ids=["absent", "ours", "without its root", "another's", "no store"],
)
def test_whose_store_it_is(fs: Any, mirror: Mirror, objects: dict[str, bytes], foreign: bool) -> None:
    for name, data in objects.items():
        fs.pipe_file(f"/out/a.zarr/{name}", data)
    assert mirror.is_foreign("a.zarr") == foreign
