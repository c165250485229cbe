"""What compressed pictures say about their size, before a decoder allocates it; and whether they are whole.

libjpeg fills what is missing with grey and only warns, which no decoder here passes on.
"""

from __future__ import annotations

import re

LONGEST_PADDING = 64
LEAST_HOLE = 1024
END_MARKER = b"\xff\xd9"
JPEG_START, JP2_SIZ = b"\xff\xd8", b"\xff\x4f\xff\x51"
MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def declared_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) that a JPEG or JPEG 2000 stream declares, None when it is neither or has none.

    Parameters
    ----------
    data : bytes
    """
    if data.startswith(JPEG_START):
        return _jpeg_frame(data)
    at = data.find(JP2_SIZ, 0, 4096)
    if at < 0 or at + 24 > len(data):
        return None
    x1, y1, x0, y0 = (int.from_bytes(data[at + k : at + k + 4], "big") for k in (8, 12, 16, 20))
    return x1 - x0, y1 - y0


def is_cut_off(data: bytes) -> bool:
    """Whether a JPEG or JPEG 2000 stream ends before its pixels do, or goes on long after them.

    Parameters
    ----------
    data : bytes
        The stream, possibly followed by padding.
    """
    if not data.startswith(JPEG_START):
        # coded data never hold two bytes from FF90 up: the first such end marker is the end
        end = data.find(END_MARKER, data.find(JP2_SIZ) + 1)
        return end < 0 or _goes_on(data, end + 2)
    at = data.find(b"\xff\xda")
    while at >= 0:
        marker = MARKER_IN_SCAN.search(data, at + 2)
        if marker is None:
            return True
        if marker.group() == END_MARKER:
            return _goes_on(data, marker.end())
        # between scans of a progressive picture stand tables
        at = data.find(b"\xff\xda", marker.start())
    return True


def has_hole(data: bytes, pixels: int) -> bool:
    """Whether a stream has more zero bytes in a row than a whole one can have.

    The shortest JPEG block is two bits, and there are at most three blocks to 64 pixels. JPEG 2000 of one
    quality layer has some dozens of empty packets of one byte each.

    Parameters
    ----------
    data : bytes
    pixels : int
        Pixels of the picture.
    """
    longest = 3 * pixels // 256 + 8 if data.startswith(JPEG_START) else LEAST_HOLE
    return bytes(longest) in data


def _goes_on(data: bytes, at: int) -> bool:
    return len(data[at:].strip(b"\0\xff")) > LONGEST_PADDING


def _jpeg_frame(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in START_OF_FRAME:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
