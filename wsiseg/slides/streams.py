"""What compressed pictures say about their size, before a decoder allocates it; and whether they are whole.

libjpeg fills what is missing with grey and only warns, which no decoder here passes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

LONGEST_PADDING = 64
LEAST_HOLE = 1024
APP0, APP14 = 0xE0, 0xEE
# Which of a frame's pixels are its lightest, and how light they must be to say anything.
LIGHTEST, LEAST_LIGHT = 0.9, 170
END_MARKER = b"\xff\xd9"
JPEG_START, JP2_SIZ = b"\xff\xd8", b"\xff\x4f\xff\x51"
MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def declared_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) that a JPEG or JPEG 2000 stream declares, None when it is neither or has none.

    Parameters
    ----------
    data : bytes
        A coded stream.
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
        A coded stream.
    pixels : int
        Pixels of the picture.
    """
    longest = 3 * pixels // 256 + 8 if data.startswith(JPEG_START) else LEAST_HOLE
    return bytes(longest) in data


def coded_as(data: bytes) -> str | None:
    """Return how a JPEG stream codes its colours: "YCbCr", "RGB", or None where it cannot be told.

    Its own markers say it: JFIF, Adobe's, the names of its components, or samples that are fewer for two of
    them. Without any its pixels are looked at: what is lightest on a slide is nearly grey, which is 128 in
    both colour differences of YCbCr, and three equal values in RGB.

    Parameters
    ----------
    data : bytes
        The stream, of 8 bits and three components.
    """
    segments = list(_segments(data))
    for marker, content in segments:
        if marker == APP0 and content.startswith(b"JFIF"):
            return "YCbCr"
        if marker == APP14 and content.startswith(b"Adobe") and len(content) >= 12:
            return "RGB" if content[11] == 0 else "YCbCr"
    for marker, content in segments:
        if marker in START_OF_FRAME and len(content) >= 15 and content[5] == 3:
            names, factors = content[6:15:3], {content[7], content[10], content[13]}
            if names == b"RGB":
                return "RGB"
            if len(factors) > 1:
                return "YCbCr"
            return _coded_by_look(data)
    return None


def _coded_by_look(data: bytes) -> str | None:
    import imagecodecs

    try:
        raw = imagecodecs.jpeg8_decode(data, colorspace="RGB", outcolorspace="RGB").reshape(-1, 3)
    except Exception:
        return None
    lightest = raw[raw[:, 0] >= np.quantile(raw[:, 0], LIGHTEST)]
    first, second, third = np.median(lightest, axis=0)
    if first < LEAST_LIGHT or int(raw.max()) == int(raw.min()):
        return None
    differences = max(abs(second - 128), abs(third - 128))
    spread = max(abs(second - first), abs(third - first))
    if min(differences, spread) * 2 > max(differences, spread):
        return None
    return "YCbCr" if differences < spread else "RGB"


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the marker segments of a JPEG stream up to its first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        if data[at + 1] == 0xFF:
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        yield data[at + 1], data[at + 4 : at + 2 + length]
        at += 2 + max(length, 2)


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
