"""What compressed pictures say about their own size, read before a decoder allocates it."""

from __future__ import annotations

JPEG_START, JP2_SIZ = b"\xff\xd8", b"\xff\x4f\xff\x51"
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def declared_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) that a JPEG or JPEG 2000 stream declares, None when it is neither or has none.

    Parameters
    ----------
    data : bytes
    """
    if data.startswith(JPEG_START):
        return _jpeg_size(data)
    at = data.find(JP2_SIZ, 0, 4096)
    if at < 0 or at + 24 > len(data):
        return None
    x1, y1, x0, y0 = (int.from_bytes(data[at + k : at + k + 4], "big") for k in (8, 12, 16, 20))
    return x1 - x0, y1 - y0


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
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
