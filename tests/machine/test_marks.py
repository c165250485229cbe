"""Files of wsiseg are known by their mark; whatever else has their name stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from marked import FEATURE, of_wsiseg
from PIL import Image

from wsiseg.errors import StoreError
from wsiseg.machine.marks import GEOJSON_HEAD, GEOJSON_TAIL, is_our_picture, is_ours
from wsiseg.machine.replacing import write_output

ENDINGS = (
    "geojson", "geojson.gz", "parquet", "preview.jpg", "png", "html", "csv", "json", "safetensors", "zarr"
)  # fmt: skip


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_wsiseg_wrote_is_known(tmp_path: Path, ending: str) -> None:
    assert is_ours(of_wsiseg(tmp_path / f"a slide.{ending}"))


def pandas_table(path: Path) -> None:
    table = pa.table({"id": [1], "area_um2": [2.0]})
    pq.write_table(table, path)


def table_with_a_column(path: Path) -> None:
    table = pq.read_table(of_wsiseg(path))
    pq.write_table(table.append_column("mine", pa.array([], pa.string())), path)


FOREIGN: dict[str, Callable[[Path], object]] = {
    "of QuPath.geojson": lambda path: path.write_bytes(
        b'{"type":"FeatureCollection","features":[' + FEATURE % b"8"
    ),
    "by hand.geojson": lambda path: path.write_bytes(GEOJSON_HEAD + FEATURE % b"4"),
    "cut.geojson": lambda path: path.write_bytes(GEOJSON_HEAD),
    "plain.geojson.gz": lambda path: path.write_bytes(GEOJSON_HEAD + GEOJSON_TAIL),
    "pandas.parquet": pandas_table,
    "more.parquet": table_with_a_column,
    "no.parquet": lambda path: path.write_bytes(b"PAR1"),
    "photo.preview.jpg": lambda path: Image.new("L", (2, 2)).save(path),
    "photo.png": lambda path: Image.new("L", (2, 2)).save(path),
    "page.html": lambda path: path.write_bytes(b"<!doctype html>"),
    "summary.csv": lambda path: path.write_bytes(b"patient,stage\n"),
    "run.json": lambda path: path.write_bytes(b'{"slides":[]}'),
    "broken.json": lambda path: path.write_bytes(b"{"),
    "short.safetensors": lambda path: path.write_bytes(b"abc"),
    "empty.svs": lambda path: path.touch(),
    "notes.txt": lambda path: path.write_bytes(b"wsiseg"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_others_wrote_stays(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    FOREIGN[name](path)
    before = path.read_bytes()
    assert not is_ours(path)
    with pytest.raises(StoreError, match=f"{name}: wsiseg did not make this file"):
        write_output(path, b"new")
    assert path.read_bytes() == before


def test_stores_of_others_stay(tmp_path: Path) -> None:
    store = tmp_path / "slide.zarr"
    store.mkdir()
    for metadata in ('{"attributes": {"ome": {}}}', '{"zarr_format": 3, "node_type": "group"}', "[]"):
        (store / "zarr.json").write_text(metadata)
        assert not is_ours(store)
    (store / "zarr.json").write_text('{"attributes": {"wsis')
    assert is_ours(store)
    (store / "zarr.json").unlink()
    assert is_ours(store)
    (store / "notes.txt").touch()
    assert not is_ours(store)


def test_pictures_of_wsiseg_are_no_slides(tmp_path: Path) -> None:
    assert is_our_picture(str(of_wsiseg(tmp_path / "x.preview.jpg")))
    assert is_our_picture("s3://bucket/x.preview.jpg")
    assert not is_our_picture("s3://bucket/x.jpg")
    Image.new("L", (2, 2)).save(tmp_path / "y.preview.jpg")
    assert not is_our_picture(str(tmp_path / "y.preview.jpg"))
