"""GeoJSON that QuPath opens, streamed: text is joined by columns, never feature by feature."""

from __future__ import annotations

import gzip as gzip_module
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wsiseg.machine.marks import GEOJSON_HEAD, GEOJSON_TAIL, geojson_head
from wsiseg.machine.replacing import check_free
from wsiseg.machine.whole import beside, settle
from wsiseg.objects.geojson_text import geometry_texts

COLOR = (200, 0, 0)
MEASUREMENTS = {
    "id": ("Nucleus ID", 0),
    "area_um2": ("Area µm^2", 2),
    "circularity": ("Circularity", 3),
    "mean_confidence": ("Mean confidence", 3),
    "haematoxylin_mean": ("Haematoxylin OD mean", 3),
}
"""Columns that become measurements: their name in QuPath and the decimals that are written."""

ROWS_AT_ONCE = 10_000


def nucleus_uuids(fingerprint: str, ids: NDArray[np.integer]) -> NDArray[np.bytes_]:
    """Return the UUID (version 8) of each nucleus: the same for the same slide and number, always.

    Parameters
    ----------
    fingerprint : str
        What tells the slide from others.
    ids : ndarray of int, shape (n,)
        Numbers of the nuclei.

    Returns
    -------
    ndarray of bytes, shape (n,)
        36 characters each.
    """
    seeds = np.frombuffer(hashlib.sha256(fingerprint.encode()).digest()[:16], ">u8")
    words = np.empty((len(ids), 2), ">u8")
    with np.errstate(over="ignore"):
        for side in range(2):
            x = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seeds[side])
            x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            words[:, side] = x ^ (x >> np.uint64(31))
    octets = words.view(np.uint8).reshape(len(ids), 16)
    octets[:, 6] = octets[:, 6] & 0x0F | 0x80
    octets[:, 8] = octets[:, 8] & 0x3F | 0x80
    digits = np.frombuffer(octets.tobytes().hex().encode(), "S1").reshape(len(ids), 32)
    text = np.full((len(ids), 36), b"-", "S1")
    text[:, [i for i in range(36) if i not in (8, 13, 18, 23)]] = digits
    return cast("NDArray[np.bytes_]", np.ascontiguousarray(text).view("S36").ravel())


def features(
    table: pa.Table,
    fingerprint: str = "",
    origin_l0: tuple[int, int] = (0, 0),
    colours: Mapping[str, tuple[int, int, int]] | None = None,
) -> pa.Array:
    """Return one line of GeoJSON text per row, each starting with a comma and a line end.

    Parameters
    ----------
    table : pyarrow.Table
        Records (see `wsiseg.objects.records.describe`) with a column ``id``; no geometry is null.
    fingerprint : str
        Fingerprint of the slide; part of the ids.
    origin_l0 : (int, int)
        Where coordinates count from, in level-0 pixels (x, y).
    colours : mapping of str to (int, int, int), optional
        Colour of each class that is named in the column ``class``; without it all are nuclei.

    Returns
    -------
    pyarrow.Array
        Strings.
    """
    ids = table["id"].to_numpy()
    geometry = geometry_texts(table["geometry"].combine_chunks(), origin_l0)
    classification = _classifications(table, colours or {})
    parts: list[pa.Array | str] = [
        ',\n{"type":"Feature","id":"',
        pa.array(nucleus_uuids(fingerprint, ids).astype("U36")),
        '","geometry":',
        geometry,
        ',"properties":{"objectType":"detection","classification":',
        classification,
        ',"measurements":{',
    ]
    for column, (name, decimals) in MEASUREMENTS.items():
        lead = ("" if column == "id" else ",") + json.dumps(name, ensure_ascii=False) + ":"
        parts.append(_measurement(table[column].combine_chunks(), lead, decimals))
    return pc.binary_join_element_wise(*parts, "}}}", "")


def _classifications(table: pa.Table, colours: Mapping[str, tuple[int, int, int]]) -> pa.Array | str:
    """Return QuPath's class of each row as JSON text."""

    def text(name: str, colour: tuple[int, int, int]) -> str:
        return json.dumps({"name": name, "color": colour}, separators=(",", ":"), ensure_ascii=False)

    if not colours:
        return text("Nucleus", COLOR)
    coded = table["class"].combine_chunks().dictionary_encode()
    texts = [text(name, colours[name]) for name in coded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(coded.indices)


def _measurement(column: pa.Array, lead: str, decimals: int) -> pa.Array:
    """Return ``lead`` and the number of each row, nothing where it is missing."""
    if decimals:
        column = pc.round(column.cast(pa.float64()), decimals)
        column = pc.if_else(pc.is_finite(column), column, None)
    return pc.fill_null(pc.binary_join_element_wise(lead, column.cast(pa.string()), ""), "")


class GeoJSONWriter:
    """Write nuclei to a GeoJSON file, or to several, as a stream.

    The files are written beside their place and get their names when the ``with`` block ends without an
    exception; otherwise nothing is left. Rows without geometry are left out.

    Parameters
    ----------
    path : Path or str
        The file, ending in ``.geojson``, or ``.geojson.gz`` with `gzip`.
    fingerprint : str
        Fingerprint of the slide; part of the ids.
    gzip : bool
        Whether to compress.
    split : int or None
        At most so many nuclei go into one file. If one is enough it is `path`; otherwise the files are
        ``name.part01.geojson``, ``name.part02.geojson`` and so on, each complete in itself.
    scan_l0 : (int, int, int, int), optional
        x, y, width and height of the scan on the slide, in level-0 pixels; the files say it where the scan
        does not begin at the slide's corner.
    origin : {"slide", "scan"}
        Whose corner coordinates count from.
    colours : mapping of str to (int, int, int), optional
        Of the classes, see `features`.

    Attributes
    ----------
    paths : list of Path
        The files, once finished.
    """

    def __init__(
        self,
        path: Path | str,
        fingerprint: str = "",
        gzip: bool = False,
        split: int | None = None,
        scan_l0: tuple[int, int, int, int] | None = None,
        origin: str = "slide",
        colours: Mapping[str, tuple[int, int, int]] | None = None,
    ) -> None:
        ending = ".geojson.gz" if gzip else ".geojson"
        self.path = Path(path)
        if not self.path.name.endswith(ending):
            raise ValueError(f"{self.path}: QuPath reads this only under a name that ends in {ending}")
        if split is not None and split < 1:
            raise ValueError("split must be at least 1")
        self.gzip = gzip
        self.split = split
        self.fingerprint = fingerprint
        self.colours = colours
        self.paths: list[Path] = []
        has_offset = scan_l0 is not None and scan_l0[:2] != (0, 0)
        self._head = geojson_head(scan_l0, origin) if scan_l0 and has_offset else GEOJSON_HEAD
        self._origin_l0 = scan_l0[:2] if scan_l0 and origin == "scan" else (0, 0)
        self._ending = ending
        self._in_part = 0
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self._open_part()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._close_part()
                self._name_parts()
        finally:
            if self._file is not None:
                self._file.close()
            for part in self.paths:
                beside(part).unlink(missing_ok=True)

    def write(self, table: pa.Table) -> None:
        """Append the nuclei of a record table that has a column ``id``."""
        whole = table.filter(pc.is_valid(table["geometry"]))
        begin = 0
        while begin < whole.num_rows:
            room = ROWS_AT_ONCE if self.split is None else min(ROWS_AT_ONCE, self.split - self._in_part)
            if room == 0:
                self._close_part()
                self._open_part()
                continue
            rows = whole.slice(begin, room)
            self._append(features(rows, self.fingerprint, self._origin_l0, self.colours))
            self._in_part += rows.num_rows
            begin += rows.num_rows

    def _append(self, lines: pa.Array) -> None:
        assert self._file is not None
        text = memoryview(lines.buffers()[2])[: pc.sum(pc.binary_length(lines)).as_py()]
        self._file.write(text if self._in_part else text[2:])  # no comma before the first

    def _part(self, number: int) -> Path:
        name = self.path.name.removesuffix(self._ending)
        return self.path.with_name(f"{name}.part{number:02d}{self._ending}")

    def _open_part(self) -> None:
        part = self._part(len(self.paths) + 1) if self.split is not None else self.path
        self.paths.append(part)
        target = beside(part)
        if self.gzip:  # no name and no time inside: the same nuclei are the same bytes
            self._raw = target.open("wb")
            self._file = cast(
                "IO[bytes]",
                gzip_module.GzipFile("", "wb", compresslevel=4, fileobj=self._raw, mtime=0),
            )
        else:
            self._file = target.open("wb")
        self._file.write(self._head)
        self._in_part = 0

    def _close_part(self) -> None:
        assert self._file is not None
        self._file.write(GEOJSON_TAIL)
        self._file.close()
        if self.gzip:
            self._raw.close()
        self._file = None

    def _name_parts(self) -> None:
        if len(self.paths) == 1 and self.split is not None:
            beside(self.paths[0]).replace(beside(self.path))
            self.paths = [self.path]
        for part in self.paths:
            check_free(part)
            settle(part)
