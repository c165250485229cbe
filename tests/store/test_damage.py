"""A store that is damaged is said to be, in words; what is no damage stays what it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from outputs import predicted

from wsiseg.errors import StoreError
from wsiseg.inference.export import export
from wsiseg.store.damage import damage_in, damage_named


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, small_slide: Path, model_file: Path) -> dict[str, bytes]:
    """The files of a finished store."""
    out = tmp_path_factory.mktemp("whole")
    predicted(small_slide, out, model_file, slide_mpp=0.25)
    store = out / "small.zarr"
    return {str(file.relative_to(store)): file.read_bytes() for file in store.rglob("*") if file.is_file()}


@pytest.fixture
def store(tmp_path: Path, whole: dict[str, bytes]) -> Path:
    """A copy of it."""
    path = tmp_path / "small.zarr"
    for name, data in whole.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def text(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(old, new)


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("zarr.json", lambda data: data[:50]),
        ("zarr.json", text(b'"levels"', b'"l\xff"')),
        ("zarr.json", text(b'"threshold": 0.5', b'"threshold": "high"')),
        ("zarr.json", lambda _data: b"[" * 100_000),
        ("0/zarr.json", text(b'"uint8"', b'"uint99"')),
        ("0/zarr.json", text(b"380", b"38")),
        ("0/c/0/0", lambda data: data[:-40] + bytes(40)),
        ("haematoxylin/c/0/0", lambda data: data[:20]),
        ("status/network/c/0/0", lambda _data: b"\1\1\1"),
    ],
)
def test_export_says_that_a_store_is_damaged(
    store: Path, tmp_path: Path, file: str, damage: Callable[[bytes], bytes]
) -> None:
    assert damage_in(store) is None
    before = (store / file).read_bytes()
    (store / file).write_bytes(damage(before))
    assert (store / file).read_bytes() != before
    with pytest.raises(StoreError) as caught:
        export(store, tmp_path / "again")
    assert str(caught.value).startswith(str(store))
    assert "\n" not in str(caught.value)


def test_predict_names_a_damaged_store_and_the_way_out(
    tmp_path: Path, store: Path, small_slide: Path, model_file: Path
) -> None:
    (store / "0" / "c" / "0" / "0").write_bytes(b"\0" * 999)
    (report,) = predicted(small_slide, tmp_path, model_file, slide_mpp=0.25)
    assert report.state == "failed"
    assert "is damaged" in report.cause
    assert "--overwrite" in report.cause
    (report,) = predicted(small_slide, tmp_path, model_file, slide_mpp=0.25, overwrite=True)
    assert report.state == "done"


def test_records_of_other_columns_are_damage(store: Path) -> None:
    folder = store / "work" / "records"
    folder.mkdir(parents=True)
    table = pa.table({"marker_row": [1]})
    with (
        pa.OSFile(str(folder / "0-0.markers.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as to,
    ):
        to.write_table(table)
    assert "has columns ['marker_row']" in str(damage_in(store))


def test_other_errors_pass(store: Path) -> None:
    with pytest.raises(ZeroDivisionError), damage_named(store):
        _ = 1 // 0
