"""Damage to files, from a random number generator: the same seed, the same damage."""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Callable

# what a length, count, offset or size is most likely mistaken with
ODD_NUMBERS = (0, 1, 2, 3, 7, 16, 127, 128, 255, 256, 4096, 32767, 32768, 65535, 65536, 2**24, 10**6)
ODD_NUMBERS += (2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
ODD_WORDS = (
    "-1", "0", "nan", "inf", "-0.0", "1e9", "1e999", "-1e-300", "99999999999999999999", "0x10", "\u0661",
    "null", "true", "[]", "{}", '"x"', "[[[[", "\0", "\n", "\r", '"', "'", ",", ";", "\t", "../../x",
    "/etc/passwd", "=1+1", "\ufeff", "%s%n", "<a>", "&x;", "\u202e", "\ud7ff", "aux", "a" * 300,
)  # fmt: skip
TIFF_TAGS = (256, 257, 258, 259, 262, 270, 273, 277, 278, 279, 282, 284, 296, 317, 320, 322, 323, 324, 325)
TIFF_TAGS += (330, 338, 339, 347, 530, 32997, 34675)


def mutated(data: bytes, rng: random.Random, kind: str) -> bytes:
    """Return damaged bytes.

    Parameters
    ----------
    data : bytes
    rng : random.Random
    kind : {"tiff", "png", "binary", "text"}
        What the file is: adds damage that keeps the outer form.
    """
    own: dict[str, list[Callable[[bytearray, random.Random], bytearray]]] = {
        "tiff": [tiff_entry, tiff_entry, tiff_entry, word_in_text],
        "png": [png_chunk, png_chunk],
        "text": [word_in_text, word_in_text, word_in_text, line],
    }
    damage = [*own.get(kind, []), *own.get(kind, []), flips, flips, number, number, cut, piece]
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        out = rng.choice(damage)(out, rng)
    return bytes(out)


def place(data: bytearray, rng: random.Random) -> int:
    """Return a place in the data: more often near its head or its end, where headers are."""
    size = max(1, len(data))
    where = rng.random()
    if where < 0.3:
        return rng.randrange(min(400, size))
    if where < 0.5:
        return size - 1 - rng.randrange(min(800, size))
    return rng.randrange(size)


def flips(data: bytearray, rng: random.Random) -> bytearray:
    """Change some bytes."""
    if data:
        for _ in range(rng.choice((1, 1, 2, 4, 16))):
            data[place(data, rng)] = rng.choice((0, 255, rng.randrange(256)))
    return data


def number(data: bytearray, rng: random.Random) -> bytearray:
    """Write an odd number over 1, 2, 4 or 8 bytes."""
    width = rng.choice((1, 2, 4, 8))
    at = place(data, rng) // width * width
    order = rng.choice(("little", "big"))
    data[at : at + width] = (rng.choice(ODD_NUMBERS) & (256**width - 1)).to_bytes(width, order)
    return data


def cut(data: bytearray, rng: random.Random) -> bytearray:
    """Cut the end off."""
    return data[: rng.randrange(len(data) + 1)]


def piece(data: bytearray, rng: random.Random) -> bytearray:
    """Remove, repeat, empty or add a piece."""
    start = place(data, rng)
    stop = min(len(data), start + rng.choice((1, 4, 64, 512, 4096)))
    what = rng.randrange(4)
    if what == 0:
        del data[start:stop]
    elif what == 1:
        data[start:start] = data[start:stop]
    elif what == 2:
        data[start:stop] = bytes(stop - start)
    else:
        data[start:start] = rng.randbytes(rng.choice((1, 4, 64)))
    return data


def tiff_entry(data: bytearray, rng: random.Random) -> bytearray:
    """Change the tag, type, count or value of a directory entry, or the link to the next directory."""
    entries = tiff_entries(data)
    if not entries:
        return flips(data, rng)
    at = rng.choice(entries)
    field, form = rng.choice(((0, "<H"), (2, "<H"), (4, "<I"), (8, "<I"), (8, "<I"), (8, "<I")))
    value = rng.choice((*ODD_NUMBERS, *TIFF_TAGS, len(data), len(data) - 1, at, rng.randrange(2**16)))
    if rng.random() < 0.3:
        value = struct.unpack_from(form, data, at + field)[0] + rng.choice((-1, 1, 255, 65536))
    struct.pack_into(form, data, at + field, value & (256 ** struct.calcsize(form) - 1))
    return data


def tiff_entries(data: bytearray) -> list[int]:
    """Return where the entries of a classic little-endian TIFF's directories are, and their links."""
    found: list[int] = []
    seen: set[int] = set()
    at = struct.unpack_from("<I", data, 4)[0] if data[:4] == b"II*\0" and len(data) >= 8 else 0
    while 8 <= at <= len(data) - 6 and at not in seen and len(seen) < 20:
        seen.add(at)
        count = min(struct.unpack_from("<H", data, at)[0], 60)
        last = at + 2 + 12 * count
        if last + 12 > len(data):
            break
        # the link behind the last entry is taken for the value of an entry, once
        found += [*range(at + 2, last, 12), last - 8]
        at = struct.unpack_from("<I", data, last)[0]
    return found


def png_chunk(data: bytearray, rng: random.Random) -> bytearray:
    """Change bytes inside a chunk and make its checksum right again."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            break
        chunks.append((at, length))
        at += 12 + length
    if not chunks:
        return flips(data, rng)
    at, length = rng.choice((chunks[0], rng.choice(chunks)))
    body = bytearray(data[at + 4 : at + 8 + length])
    for _ in range(rng.choice((1, 2, 4))):
        body[rng.randrange(4 if length and rng.random() < 0.9 else 0, len(body))] = rng.randrange(256)
    if length >= 8 and rng.random() < 0.4:
        body[4:8] = (rng.choice(ODD_NUMBERS) & (2**32 - 1)).to_bytes(4, "big")
    data[at + 4 : at + 12 + length] = body + zlib.crc32(body).to_bytes(4, "big")
    return data


def word_in_text(data: bytearray, rng: random.Random) -> bytearray:
    """Put an odd word in the place of a number or a word."""
    words = list(re.finditer(rb"[-+.\w]{1,40}", bytes(data[:20_000])))
    if not words:
        return flips(data, rng)
    word = rng.choice(words)
    data[word.start() : word.end()] = rng.choice(ODD_WORDS).encode("utf-8", "surrogatepass")
    return data


def line(data: bytearray, rng: random.Random) -> bytearray:
    """Drop, repeat or swap lines, or change their ends."""
    lines = bytes(data).split(b"\n")
    what, at = rng.randrange(4), rng.randrange(len(lines))
    if what == 0:
        del lines[at]
    elif what == 1:
        lines.insert(at, lines[rng.randrange(len(lines))])
    elif what == 2:
        rng.shuffle(lines)
    return bytearray(rng.choice((b"\n", b"\r\n", b"\r")).join(lines))
