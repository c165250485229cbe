"""Polygons as GeoJSON text, straight from their bytes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import shapely
from numba import njit
from numpy.typing import NDArray

POLYGON = b'{"type":"Polygon","coordinates":'
MOST_CHARS_A_POINT = 48
POLYGON_CODE = 3


@njit(cache=True, nogil=True)
def _put(out, at, text):
    for k in range(text.size):
        out[at + k] = text[k]
    return at + text.size


@njit(cache=True, nogil=True)
def _number(out, at, hundredths):
    """Write a whole number of hundredths with as few characters as it takes."""
    if hundredths < 0:
        out[at] = 45
        at += 1
        hundredths = -hundredths
    whole, rest = hundredths // 100, hundredths % 100
    digits = 1
    bound = 10
    while whole >= bound:
        bound *= 10
        digits += 1
    for k in range(digits - 1, -1, -1):
        out[at + k] = 48 + whole % 10
        whole //= 10
    at += digits
    if rest:
        out[at] = 46
        out[at + 1] = 48 + rest // 10
        at += 2
        if rest % 10:
            out[at] = 48 + rest % 10
            at += 1
    return at


@njit(cache=True, nogil=True)
def _u32(data, at):
    return (
        np.int64(data[at])
        | np.int64(data[at + 1]) << 8
        | np.int64(data[at + 2]) << 16
        | np.int64(data[at + 3]) << 24
    )


@njit(cache=True, nogil=True)
def _texts(data, offsets, head, x0, y0, ends, out):
    """Write every polygon's text, less x0 and y0 (hundredths), none for other shapes; return their ends."""
    at = 0
    point = np.empty(2, np.float64)
    octets = point.view(np.uint8)
    for i in range(offsets.size - 1):
        place = offsets[i]
        if data[place] == 1 and _u32(data, place + 1) == POLYGON_CODE:
            at = _put(out, at, head)
            out[at] = 91
            at += 1
            rings = _u32(data, place + 5)
            place += 9
            for ring in range(rings):
                if ring:
                    out[at] = 44
                    at += 1
                out[at] = 91
                at += 1
                count = _u32(data, place)
                place += 4
                for j in range(count):
                    for k in range(16):
                        octets[k] = data[place + k]
                    place += 16
                    if j:
                        out[at] = 44
                        at += 1
                    out[at] = 91
                    at = _number(out, at + 1, np.int64(np.rint(point[0] * 100)) - x0)
                    out[at] = 44
                    at = _number(out, at + 1, np.int64(np.rint(point[1] * 100)) - y0)
                    out[at] = 93
                    at += 1
                out[at] = 93
                at += 1
            out[at] = 93
            out[at + 1] = 125
            at += 2
        ends[i + 1] = at
    return at


def geometry_texts(wkb: pa.BinaryArray, origin: tuple[int, int] = (0, 0)) -> pa.StringArray:
    """Return the GeoJSON geometry of each shape.

    Parameters
    ----------
    wkb : pyarrow.BinaryArray, length n
        Well-known binary of polygons on the grid of two decimals; none is null. MultiPolygons may be among
        them and are written by shapely.
    origin : (int, int)
        Where coordinates count from, (x, y).

    Returns
    -------
    pyarrow.StringArray, length n
        One JSON object each.
    """
    wkb = pa.concat_arrays([wkb])  # offsets from 0
    offsets = np.frombuffer(wkb.buffers()[1], np.int32)[wkb.offset : wkb.offset + len(wkb) + 1]
    data = np.frombuffer(wkb.buffers()[2] or b"", np.uint8)
    most = len(wkb) * (len(POLYGON) + 8) + int(offsets[-1] - offsets[0]) // 16 * MOST_CHARS_A_POINT
    out = np.empty(most, np.uint8)
    ends = np.zeros(len(wkb) + 1, np.int32)
    x0, y0 = (100 * value for value in origin)
    used = _texts(data, offsets, np.frombuffer(POLYGON, np.uint8), x0, y0, ends, out)
    texts = _strings(ends, out[:used])
    other = np.flatnonzero(np.diff(ends) == 0)
    if len(other):
        cells = texts.to_pylist()
        for index in other:
            shape = shapely.from_wkb(wkb[index].as_py())
            cells[index] = shapely.to_geojson(shapely.transform(shape, lambda xy: xy - origin))
        texts = pa.array(cells, pa.string())
    return texts


def _strings(ends: NDArray[np.int32], text: NDArray[np.uint8]) -> pa.StringArray:
    return pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(text))
