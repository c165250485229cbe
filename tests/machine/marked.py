"""Files with the mark of wsiseg, of every kind."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from wsiseg.machine.marks import GEOJSON_HEAD, GEOJSON_TAIL, HTML_MARK, marked_jpeg
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
