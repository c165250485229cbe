"""Just enough of DICOM to tell which files of a folder are one series; pixels are OpenSlide's business."""

from __future__ import annotations

import mmap
import os
import struct

import numpy as np

from wsiseg.errors import SlideError

HEAD_BYTES = 2**16
LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
SERIES_UID = (0x0020, 0x000E)
SOP_CLASS_UID = (0x0008, 0x0016)
PIXEL_DATA, LONG_OFFSETS = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff", b"\xe0\x7f\x01\0OV\0\0"
ITEM = b"\xfe\xff\0\xe0"
SLIDE_MICROSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.6"


def is_dicom(path: str) -> bool:
    """Whether a file starts as DICOM files do."""
    try:
        with open(path, "rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def series_uid(path: str) -> str | None:
    """Return the SeriesInstanceUID of a whole-slide DICOM file, None for anything else.

    Parameters
    ----------
    path : str

    Returns
    -------
    str or None
    """
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return None
    if head[128:132] != b"DICM":
        return None
    wanted = _elements(head, {SERIES_UID, SOP_CLASS_UID})
    return wanted.get(SERIES_UID) if wanted.get(SOP_CLASS_UID) == SLIDE_MICROSCOPY else None


def _elements(head: bytes, wanted: set[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """Walk over explicit-VR little-endian elements up to the last one wanted (PS3.5, 7.1.2)."""
    found: dict[tuple[int, int], str] = {}
    at = 132
    while at + 8 <= len(head):
        tag = struct.unpack_from("<HH", head, at)
        if tag > max(wanted):
            break
        if head[at + 4 : at + 6] in LONG_VRS:
            length, start = int.from_bytes(head[at + 8 : at + 12], "little"), at + 12
        else:
            length, start = int.from_bytes(head[at + 6 : at + 8], "little"), at + 8
        if length == 0xFFFFFFFF:
            start, length = _after_undefined(head, start), 0
        if tag in wanted:
            found[tag] = head[start : start + length].decode("ascii", "replace").strip("\0 ")
        at = start + length
    return found


def _after_undefined(head: bytes, start: int) -> int:
    """Return where a sequence of undefined length ends: at the delimiter that closes the outermost one."""
    end = head.find(b"\xfe\xff\xdd\xe0\0\0\0\0", start)
    return len(head) if end < 0 else end + 8


def series_in(folder: str) -> dict[str, list[str]]:
    """Return the files of a folder by whole-slide DICOM series, both in the order of names.

    Parameters
    ----------
    folder : str

    Returns
    -------
    dict of str to list of str
        SeriesInstanceUID to paths.
    """
    series: dict[str, list[str]] = {}
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise SlideError(folder, f"cannot be read: {error.strerror}") from None
    for name in names:
        path = os.path.join(folder, name)
        if name.startswith(".") or not os.path.isfile(path) or not is_dicom(path):
            continue
        uid = series_uid(path)
        if uid is not None:
            series.setdefault(uid, []).append(path)
    return series


def first_instance(folder: str) -> str:
    """Return a file of the only series in a folder.

    Raises
    ------
    SlideError
        When the folder holds none, or several.
    """
    series = series_in(folder)
    if not series:
        raise SlideError(folder, "is a folder without a whole-slide DICOM series")
    if len(series) > 1:
        raise SlideError(folder, f"holds {len(series)} DICOM series; give one file of the series you want")
    return next(iter(series.values()))[0]


def check_series(path: str) -> None:
    """Refuse a DICOM file if it, or a file beside it that may be of its series, leads outside of itself.

    Parameters
    ----------
    path : str

    Raises
    ------
    SlideError
        With the name of the damaged file.
    """
    series = series_uid(path)
    folder = os.path.dirname(path) or "."
    for name in sorted(os.listdir(folder)):
        other = os.path.join(folder, name)
        # OpenSlide opens what it takes for the series; a damaged header may not say so here
        if os.path.isfile(other) and is_dicom(other) and series_uid(other) in (None, series):
            check_frames(other)


def check_frames(path: str) -> None:
    """Refuse a DICOM file whose table of frames leads outside of it: OpenSlide 4 follows it and crashes.

    Parameters
    ----------
    path : str

    Raises
    ------
    SlideError
        When a frame does not start and end inside the file.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(PIXEL_DATA)
        if at < 0:
            return
        table = at + len(PIXEL_DATA)
        length = _item_length(path, data, table)
        first = table + 8 + length
        offsets = np.frombuffer(data[table + 8 : first], "<u4", length // 4).tolist()
        extended = data.find(LONG_OFFSETS, 0, at)
        if extended >= 0:
            start = extended + len(LONG_OFFSETS) + 4
            count = int.from_bytes(data[start - 4 : start], "little")
            offsets += np.frombuffer(data[start : start + count // 8 * 8], "<u8").tolist()
        for offset in offsets:
            _item_length(path, data, first + offset)
        while not offsets and data[first : first + 4] == ITEM:
            first += 8 + _item_length(path, data, first)


def _item_length(path: str, data: mmap.mmap, at: int) -> int:
    """Return the length of the item at a place (PS3.5, 7.5), which must end inside the file."""
    length = int.from_bytes(data[at + 4 : at + 8], "little")
    if at + 8 > len(data) or data[at : at + 4] != ITEM or at + 8 + length > len(data):
        raise SlideError(path, "its frames lead outside the file; it is damaged or cut off")
    return length
