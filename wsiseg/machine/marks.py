"""Files that wsiseg made, known by a mark inside them: only these are ever replaced or deleted."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

GEOJSON_HEAD = b'{"type":"FeatureCollection","features":[\n'
"""GeoJSON files start with these bytes, followed by ids of version 8 or the end of the file."""
GEOJSON_TAIL = b"\n]}\n"
# The first line of a slide whose scan has an offset says so.
_SHIFTED = '{{"type":"FeatureCollection","wsiseg":{{"origin":"{}","scan_l0":{}}},"features":[\n'
_SHIFTED_HEAD = re.compile(
    rb'\{"type":"FeatureCollection","wsiseg":\{"origin":"(?:slide|scan)","scan_l0":\[\d+(?:,\d+){3}\]\},'
    rb'"features":\[\n'
)
_FIRST_FEATURE = re.compile(rb'\{"type":"Feature","id":"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-')

PARQUET_ID_UNIT = "number in labels/nuclei"
"""The unit in the metadata of the column `id`."""

PREVIEW = ".preview.jpg"
"""Ending of the picture of a slide."""

PICTURE_COMMENT = b"wsiseg"
"""Comment of a JPEG, and the software that a PNG names."""

LOG = "wsiseg.log"
"""Name of the log of an output folder; it needs no other mark, as lines are only added to it."""

HTML_MARK = b'<meta name="generator" content="wsiseg">'
SYNTHETIC_MARK = b"Aperio Image Library wsiseg synthetic"

# First columns of tables: summary.csv, metrics.csv of a repeat, a table of `wsiseg evaluate`.
_CSV_HEADS = (b"name,path,state,cause,", b"repeat,epoch,channel,score,", b"name,dice,aji,")
# Entries of run.json of `predict` and of `fit`, and of what `wsiseg evaluate` writes.
_PREDICT = {"model", "config", "versions", "slides"}
_FIT = {"command", "format", "identity"}
_EVALUATE = {"images", "mean", "sd", "without_labels"}
# What is in a store whose metadata are gone.
_IN_STORE = re.compile(r"\d+|labels|haematoxylin|stains|tissue|regions|status|work|zarr\.json")
_HEAD_BYTES = 4096

Open = Callable[[], IO[bytes]]


def geojson_head(scan_l0: tuple[int, int, int, int], origin: str) -> bytes:
    """Return the first line of the GeoJSON of a slide whose scan does not begin at its corner.

    Parameters
    ----------
    scan_l0 : (int, int, int, int)
        x, y, width and height of the scan on the slide, in level-0 pixels.
    origin : {"slide", "scan"}
        Whose corner the coordinates count from.
    """
    return _SHIFTED.format(origin, json.dumps(scan_l0, separators=(",", ":"))).encode()


def first_line(path: Path) -> bytes:
    """Return the first line of a text file, packed or not; nothing where it cannot be read."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.readline(_HEAD_BYTES)
    except (OSError, EOFError):
        return b""


def has_mark(name: str, open_file: Open) -> bool:
    """Whether a file carries the mark of its kind, wherever it is kept.

    Parameters
    ----------
    name : str
        Its name, which decides the kind.
    open_file : callable
        Opens it for reading bytes.
    """
    kind = next((kind for ending, kind in _KINDS.items() if name.lower().endswith(ending)), None)
    if kind is None:
        return False
    try:
        with open_file() as file:
            return kind(file)
    except (OSError, ValueError, EOFError):
        return False


def is_ours(path: Path) -> bool:
    """Whether wsiseg made the file or store at a path; links are not followed."""
    if path.is_symlink():
        return False
    if path.is_dir():
        return is_our_store(path)
    return has_mark(path.name, lambda: path.open("rb"))


def is_our_store(folder: Path) -> bool:
    """Whether a folder is a store that `predict` made, whole, unfinished or damaged."""
    try:
        metadata = (folder / "zarr.json").read_bytes()
    except OSError:
        metadata = b""
    return has_store_mark(metadata, os.listdir(folder))


def has_store_mark(metadata: bytes, names: Iterable[str]) -> bool:
    """Whether a store is one that `predict` made, wherever it is kept.

    Parameters
    ----------
    metadata : bytes
        Its zarr.json; empty if it has none.
    names : iterable of str
        What lies in it, which decides where the metadata cannot be read.
    """
    try:
        described: Any = json.loads(metadata)
    except ValueError:
        return all(map(_IN_STORE.fullmatch, names))
    return isinstance(described, dict) and "wsiseg" in (described.get("attributes") or {})


def stand_in(name: str) -> bytes:
    """Return the smallest file with the mark of its kind, as a stand-in for one that is elsewhere.

    Parameters
    ----------
    name : str
        Name of a file beside a store, or in its report.
    """
    geojson = GEOJSON_HEAD + GEOJSON_TAIL
    kinds: dict[str, Callable[[], bytes]] = {
        ".geojson": lambda: geojson,
        ".geojson.gz": lambda: gzip.compress(geojson),
        ".parquet": _marked_parquet,
        ".jpg": lambda: marked_jpeg(b"\xff\xd8"),
        ".html": lambda: HTML_MARK,
    }
    return next((make() for ending, make in kinds.items() if name.endswith(ending)), b"")


def _marked_parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([pa.field("id", pa.int64(), metadata={"unit": PARQUET_ID_UNIT})])
    file = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), file)
    return bytes(file.getvalue())


def holds_fit(folder: Path) -> bool:
    """Whether a folder has the run.json of `wsiseg fit`, of this version or another."""
    try:
        found: Any = json.loads((folder / "run.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("command") == "fit"


def holds_predict(folder: Path) -> bool:
    """Whether a folder has the run.json of `wsiseg predict`."""
    try:
        return _has_entries((folder / "run.json").read_bytes(), _PREDICT)
    except (OSError, ValueError):
        return False


def _has_entries(data: bytes, keys: set[str]) -> bool:
    found: Any = json.loads(data)
    return isinstance(found, dict) and keys <= found.keys()


def is_our_picture(path: str) -> bool:
    """Whether a file or URL is a preview or a figure of wsiseg, which is never taken for a slide."""
    if not os.path.isfile(path):
        return "://" in path and path.endswith(PREVIEW)
    return path.lower().endswith((".jpg", ".png")) and is_ours(Path(path))


def marked_jpeg(data: bytes) -> bytes:
    """Return a JPEG with the mark as its comment."""
    comment = b"\xff\xfe" + (len(PICTURE_COMMENT) + 2).to_bytes(2, "big") + PICTURE_COMMENT
    return data[:2] + comment + data[2:]


def _is_geojson(file: IO[bytes]) -> bool:
    # Files in buckets cannot read a line of a limited length.
    head, end, rest = file.read(_HEAD_BYTES).partition(b"\n")
    if head + end != GEOJSON_HEAD and not _SHIFTED_HEAD.fullmatch(head + end):
        return False
    return rest == GEOJSON_TAIL or bool(_FIRST_FEATURE.match(rest))


def _is_packed_geojson(file: IO[bytes]) -> bool:
    with gzip.open(file) as unpacked:
        return _is_geojson(unpacked)  # type: ignore[arg-type]


def _is_parquet(file: IO[bytes]) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(file)
    except pa.ArrowException:
        return False
    # Columns that somebody added have no unit, and none has after passing through pandas.
    units = [(field.metadata or {}).get(b"unit") for field in schema]
    return None not in units and PARQUET_ID_UNIT.encode() in units


def _is_jpeg(file: IO[bytes]) -> bool:
    return _starts(file, marked_jpeg(b"\xff\xd8"))


def _is_png(file: IO[bytes]) -> bool:
    return b"tEXtSoftware\0" + PICTURE_COMMENT in file.read(_HEAD_BYTES)


def _is_page(file: IO[bytes]) -> bool:
    return HTML_MARK in file.read(_HEAD_BYTES)


def _is_table(file: IO[bytes]) -> bool:
    return file.read(_HEAD_BYTES).startswith(_CSV_HEADS)


def _is_json(file: IO[bytes]) -> bool:
    data = file.read()
    return any(_has_entries(data, keys) for keys in (_PREDICT, _FIT, _EVALUATE))


def _is_safetensors(file: IO[bytes]) -> bool:
    length = int.from_bytes(file.read(8), "little")
    described: Any = json.loads(file.read(min(length, 1 << 24)))
    return isinstance(described, dict) and "wsiseg" in (described.get("__metadata__") or {})


def _is_synthetic(file: IO[bytes]) -> bool:
    import tifffile

    try:
        with tifffile.TiffFile(file) as tif:
            return str(tif.pages.first.description).encode().startswith(SYNTHETIC_MARK)
    except (tifffile.TiffFileError, IndexError, KeyError, TypeError):
        return False


def _starts(file: IO[bytes], head: bytes) -> bool:
    return file.read(len(head)) == head


_KINDS: dict[str, Callable[[IO[bytes]], bool]] = {
    ".geojson": _is_geojson,
    ".geojson.gz": _is_packed_geojson,
    ".parquet": _is_parquet,
    ".jpg": _is_jpeg,
    ".png": _is_png,
    ".html": _is_page,
    ".csv": _is_table,
    ".json": _is_json,
    ".safetensors": _is_safetensors,
    "checkpoint": _is_safetensors,
    ".svs": _is_synthetic,
    LOG: lambda _: True,
}
