"""Whole-slide DICOM instances written by hand (PS3.5 explicit VR little endian, encapsulated JPEG tiles)."""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray

SLIDE_MICROSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.6"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
LONG = {"OB", "OW", "SQ", "UN", "UT"}


def element(group: int, number: int, vr: str, value: bytes | str | int | list[bytes]) -> bytes:
    """Encode one data element; a list of items makes a sequence."""
    if isinstance(value, list):
        value = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in value)
    elif isinstance(value, int):
        value = struct.pack("<H" if vr == "US" else "<I", value)
    elif isinstance(value, str):
        value = value.encode()
        value += (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    head = struct.pack("<HH", group, number) + vr.encode()
    return head + (struct.pack("<HI", 0, len(value)) if vr in LONG else struct.pack("<H", len(value))) + value


def tiles(pixels: NDArray[np.uint8], tile: int) -> list[bytes]:
    """Return the JPEG frames of a picture, row by row."""
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, -height % tile), (0, -width % tile), (0, 0)), constant_values=255)
    frames = []
    for y in range(0, height, tile):
        for x in range(0, width, tile):
            data = imagecodecs.jpeg_encode(np.ascontiguousarray(padded[y : y + tile, x : x + tile]), level=95)
            frames.append(data + b"\0" * (len(data) % 2))
    return frames


def unmarked(jpeg: bytes) -> bytes:
    """Return a JPEG stream without the markers of JFIF and Adobe, which say how its colours are coded."""
    out, at = jpeg[:2], 2
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        out += b"" if jpeg[at + 1] in (0xE0, 0xEE) else jpeg[at:end]
        at = end
    return out + jpeg[at:]


def write_instance(
    path: Path,
    pixels: NDArray[np.uint8],
    series: str,
    number: int,
    mpp: float = 0.25,
    tile: int = 64,
    image_type: str = "ORIGINAL\\PRIMARY\\VOLUME\\NONE",
    photometric: str = "YBR_FULL_422",
    frames: list[bytes] | None = None,
    planes: int = 1,
) -> None:
    """Write one level of a slide."""
    frames, uid = frames or tiles(pixels, tile), f"{series}.{number}"
    spacing = element(0x28, 0x30, "DS", f"{mpp / 1000:.6f}\\{mpp / 1000:.6f}")
    meta = b"".join(
        [
            element(2, 1, "OB", b"\0\1"),
            element(2, 2, "UI", SLIDE_MICROSCOPY),
            element(2, 3, "UI", uid),
            element(2, 0x10, "UI", JPEG_BASELINE),
            element(2, 0x12, "UI", "1.2.3.4"),
        ]
    )
    body = b"".join(
        [
            element(8, 8, "CS", image_type),
            element(8, 0x16, "UI", SLIDE_MICROSCOPY),
            element(8, 0x18, "UI", uid),
            element(8, 0x60, "CS", "SM"),
            element(8, 0x70, "LO", "wsiseg"),
            element(0x20, 0x0D, "UI", "1.2.3"),
            element(0x20, 0x0E, "UI", series),
            element(0x20, 0x11, "IS", "1"),
            element(0x20, 0x13, "IS", str(number)),
            element(0x20, 0x52, "UI", f"{series}.0"),
            element(0x20, 0x9311, "CS", "TILED_FULL"),
            element(0x28, 2, "US", 3),
            element(0x28, 4, "CS", photometric),
            element(0x28, 6, "US", 0),
            element(0x28, 8, "IS", str(len(frames))),
            element(0x28, 0x10, "US", tile),
            element(0x28, 0x11, "US", tile),
            element(0x28, 0x100, "US", 8),
            element(0x28, 0x101, "US", 8),
            element(0x28, 0x102, "US", 7),
            element(0x28, 0x103, "US", 0),
            element(0x48, 6, "UL", pixels.shape[1]),
            element(0x48, 7, "UL", pixels.shape[0]),
            element(0x48, 0x303, "UL", planes),
            element(0x5200, 0x9229, "SQ", [element(0x28, 0x9110, "SQ", [spacing])]),
        ]
    )
    offsets = np.cumsum([0] + [len(f) + 8 for f in frames[:-1]]).astype("<u4").tobytes()
    parts = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(f)) + f for f in [offsets, *frames])
    data = (
        struct.pack("<HH", 0x7FE0, 0x10)
        + b"OB\0\0"
        + b"\xff" * 4
        + parts
        + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    )
    path.write_bytes(bytes(128) + b"DICM" + element(2, 0, "UL", len(meta)) + meta + body + data)
