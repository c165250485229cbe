"""Files of wsiseg are known by their mark; whatever else has their name stays."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from wsiseg.errors import StoreError, UsageError
from wsiseg.machine.marks import GEOJSON_HEAD, GEOJSON_TAIL, HTML_MARK, is_our_picture, is_ours, marked_jpeg
from wsiseg.machine.replacing import check_free, foreign, refuse_foreign, write_output
from wsiseg.objects.parquet import ParquetWriter

FEATURE = b'{"type":"Feature","id":"3f0c1b7e-2f67-%ba6c-9a3e-7a8a3a0f3d11","geometry":'


def of_wsiseg(path: Path) -> Path:
    """Write a file with the mark of its kind."""
    ending = path.name.partition(".")[2]
    if ending == "parquet":
        with ParquetWriter(path):
            pass
    elif ending.endswith("png"):
        info = PngInfo()
        info.add_text("Software", "wsiseg")
        Image.new("L", (2, 2)).save(path, pnginfo=info)
    elif ending == "zarr":
        path.mkdir()
        (path / "zarr.json").write_text(json.dumps({"attributes": {"wsiseg": {}}}))
    else:
        path.write_bytes(
            {
                "geojson": GEOJSON_HEAD + GEOJSON_TAIL,
                "geojson.gz": gzip.compress(GEOJSON_HEAD + FEATURE % b"8"),
                "preview.jpg": marked_jpeg(b"\xff\xd8\xff\xd9"),
                "html": b"<!doctype html>" + HTML_MARK,
                "csv": b"name,path,state,cause,nuclei\r\n",
                "json": b'{"model":1,"config":1,"versions":1,"slides":[]}',
                "safetensors": b"\x20\0\0\0\0\0\0\0" + b'{"__metadata__":{"wsiseg":"{}"}} ',
            }[ending]
        )
    return path


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


def test_an_input_stays_under_every_name(tmp_path: Path) -> None:
    mask = of_wsiseg(tmp_path / "mask.geojson")
    target, other = tmp_path / "out.geojson", of_wsiseg(tmp_path / "other.geojson")
    os.link(mask, target)
    assert foreign([target, other], [mask, "s3://bucket/mask.geojson", tmp_path / "absent"]) == [target]
    with pytest.raises(StoreError):
        check_free(target, [mask])
    check_free(other, [mask])


def test_a_link_is_not_replaced_wherever_it_leads(tmp_path: Path) -> None:
    of_wsiseg(tmp_path / "a.geojson")
    for target, name in (("a.geojson", "link.geojson"), ("nowhere", "dangling.geojson")):
        (tmp_path / name).symlink_to(tmp_path / target)
        assert foreign([tmp_path / name]) == [tmp_path / name]


def test_the_refusal_names_the_files(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.geojson" for number in range(12)]
    for path in paths:
        path.touch()
    with pytest.raises(UsageError, match=r"0\.geojson(.|\n)*9\.geojson\n  and 2 more\n"):
        refuse_foreign(paths)
