"""CSV lists of slides, as spreadsheets of any language save them."""

from __future__ import annotations

import codecs
import csv
import io
import math
import os
from collections.abc import Iterator
from typing import NamedTuple

from wsiseg.errors import UsageError
from wsiseg.slides import files

# Columns that name a slide's regions.
REGIONS = ("regions", "mask")


class Listed(NamedTuple):
    """What a list says of a slide (resolution, regions), and where; nothing for slides of no list."""

    mpp: float | None = None
    place: str = ""
    regions: str | None = None


def read_list(path: str) -> Iterator[tuple[str, Listed]]:
    """Yield the slides of a list, relative paths from its folder, with what it says of each.

    Raises
    ------
    UsageError
        If the list cannot be understood, with the line.
    """
    text = _list_text(path)
    header = text.partition("\n")[0]
    # what spreadsheets write where the comma is the decimal sign, and as "Unicode text"
    delimiter = max(",;\t", key=header.count)
    try:
        lines = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True, delimiter=delimiter)
        rows = list(lines)
    except csv.Error as error:
        raise UsageError(f"{path}: cannot be read as a CSV list: {error}") from None
    reader = rows[0].keys() if rows else ()
    columns = {str(name).strip().lower(): name for name in reader if name is not None}
    if "slide" not in columns:
        found = ", ".join(sorted(columns)) or "no rows"
        raise UsageError(
            f"{path}: needs a column 'slide' (and may have 'mpp' and 'regions'), separated by commas; "
            f"it has: {found}"
        )
    for number, row in enumerate(rows, start=2):
        slide = (row[columns["slide"]] or "").strip()
        if not slide:
            continue
        if "\0" in slide:
            raise UsageError(f"{path}, line {number}: {slide!r} cannot be the name of a file")
        given = (row.get(columns.get("mpp", ""), None) or "").strip()
        try:
            mpp = float(given if delimiter == "," else given.replace(",", ".")) if given else None
        except ValueError:
            mpp = math.nan
        if mpp is not None and not (math.isfinite(mpp) and mpp > 0):
            raise UsageError(f"{path}, line {number}: mpp is {given!r}, not a positive number")
        drawn = next((row[columns[name]] for name in REGIONS if name in columns), None)
        regions = _beside(path, drawn.strip()) if drawn and drawn.strip() else None
        place = f"{os.path.basename(path)}, line {number}"
        yield _beside(path, slide), Listed(mpp, place, regions)


def _beside(path: str, named: str) -> str:
    """Return a path that a list names, from the list's folder."""
    is_whole = files.is_url(named) or os.path.isabs(named)
    return named if is_whole else os.path.join(os.path.dirname(path), named)


def _list_text(path: str) -> str:
    """Return the text of a list: UTF-8, or UTF-16 with a byte order mark, as spreadsheets save it."""
    try:
        with open(path, "rb") as file:
            data = file.read()
        is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is no UTF-8 text; save the list as CSV UTF-8") from None
