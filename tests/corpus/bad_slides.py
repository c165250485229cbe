"""Slides as nobody wants them, each with what must be said of it; and odd ones that are good all the same."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from small_slides import picture, write_svs, write_tiff

SIDE = 150
XML_CAUSE = "no reader can open it|does not say"
# what is left may be a whole page, of which nothing says the resolution
CUT_CAUSE = "no reader can open it|cannot be decoded|does not say"
BAD_MPP = {"zero": "0", "negative": "-0.25", "nan": "nan", "inf": "inf", "huge": "1e9", "text": "a lot"}
BOMB = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY %c "%s">' % (97 + n, b"&%c;" % (96 + n) * 10) for n in range(1, 10)
)


def bad_slides(folder: Path) -> dict[str, str]:
    """Write bad slides into a folder; return file name to a pattern of the cause."""
    write_svs(folder / "whole", picture(SIDE, SIDE + 50), tile=64)
    whole = (folder / "whole").read_bytes()
    (folder / "whole").unlink()
    said: dict[str, str] = {}

    def put(name: str, data: bytes, cause: str) -> None:
        (folder / name).write_bytes(data)
        said[name] = cause

    put("empty.svs", b"", "the file is empty")
    put("two\n\x1b[31mlines\x07.svs", b"", "the file is empty")
    put("text.svs", b"not a slide at all\n" * 9, "it is a text file")
    put("page.svs", b"%PDF-1.7 ...", "it is a PDF")
    put("packed.svs", b"PK\x03\x04" + bytes(99), "it is an archive; unpack it first")
    put("pickle.tif", b"\x80\x04\x95cposix\nsystem\n(S'touch hacked'\ntR.", "no reader can open it")
    for part in (8, 100, 400, len(whole) // 3, len(whole) // 2, len(whole) * 9 // 10):
        put(f"cut-{part}.svs", whole[:part], CUT_CAUSE)
    (folder / "dangling.svs").symlink_to("nothing.svs")
    said["dangling.svs"] = "the link points to nothing"
    (folder / "loop.svs").symlink_to("loop.svs")
    said["loop.svs"] = "symbolic links"
    os.mkfifo(folder / "pipe.svs")
    said["pipe.svs"] = "is not a regular file"
    for name, mpp in BAD_MPP.items():
        write_svs(folder / f"mpp-{name}.svs", picture(SIDE, SIDE), mpp=mpp, tile=64)
        said[f"mpp-{name}.svs"] = r"does not say how many micrometres a pixel measures \(.*give --slide-mpp"
    write_svs(folder / "mpp-none.svs", picture(SIDE, SIDE), mpp=None, tile=64)
    said["mpp-none.svs"] = "does not say how many micrometres a pixel measures; give --slide-mpp"
    for name, size in (("square", (10**6, 10**6)), ("none", (0, SIDE)), ("line", (2 * 10**9, 1))):
        write_svs(folder / f"size-{name}.svs", picture(SIDE, SIDE), tile=64)
        rewrite(folder / f"size-{name}.svs", {256: size[0], 257: size[1]})
        said[f"size-{name}.svs"] = "cannot be true|cut off|no pixels|no reader can open it|tiles"
    write_svs(folder / "size-tiles.svs", picture(SIDE, SIDE), tile=64)
    rewrite(folder / "size-tiles.svs", {322: 65536, 323: 65536})
    said["size-tiles.svs"] = "too large to decode|no reader can open it"
    put("bomb.png", png_header(10**6, 10**6), "promises 1000000 x 1000000 pixels|no reader can open it")
    put("wide.png", png_header(2**31 - 1, 2), "no reader can open it")
    tifffile.imwrite(folder / "floats.tif", np.zeros((SIDE, SIDE), np.float32))
    said["floats.tif"] = "convert it to 8-bit RGB"
    planes = np.zeros((5, 64, 64), np.uint8)
    tifffile.imwrite(folder / "five.ome.tif", planes, metadata={"axes": "CYX"}, photometric="minisblack")
    said["five.ome.tif"] = "5 planes|no reader can open it|does not say"
    write_tiff(
        folder / "entities.tif", picture(SIDE, SIDE), tile=64, photometric="rgb", description="x" * 999
    )
    ome = b']><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels>&i;</Pixels></Image>'
    xml = (BOMB + ome).ljust(993, b" ") + b"</OME>"
    put("entities.tif", (folder / "entities.tif").read_bytes().replace(b"x" * 999, xml), XML_CAUSE)
    return said


def odd_slides(folder: Path) -> list[str]:
    """Write slides that are unusual but good, and links to one; return their names."""
    pixels = picture(SIDE, SIDE + 20)
    grey = pixels[..., 0]
    image = Image.fromarray(pixels)
    write: dict[str, Callable[[Path], object]] = {
        "deep.tif": lambda path: tifffile.imwrite(path, pixels.astype(np.uint16) * 257, photometric="rgb"),
        "grey.png": lambda path: Image.fromarray(grey).save(path),
        "alpha.png": lambda path: Image.fromarray(np.dstack([pixels, grey])).save(path),
        "inks.jpg": lambda path: image.convert("CMYK").save(path),
        "palette.tif": lambda path: image.quantize(16).save(path),
        "moving.png": lambda path: image.save(path, save_all=True, append_images=[image.rotate(180)]),
        "two.png": lambda path: Image.fromarray(grey > 128).save(path),
        "svs-called.jpg": lambda path: write_svs(path, pixels, tile=64),
        "a b  c.png": image.save,
        'it\'s "so".png': image.save,
        "two\nlines.png": image.save,
        "\x1b[31mred\x07.png": image.save,
        "schn\u00eftt-\u4e16\u754c.png": image.save,
        "-rf.png": image.save,
        "..png": image.save,
        "=1+1.png": image.save,
        "%s%n&lt;b&gt;.png": image.save,
        f"{'long' * 61}.png": image.save,
    }
    for name, writer in write.items():
        beside = folder / f"made{os.path.splitext(name)[1] or '.png'}"
        writer(beside)
        beside.rename(folder / name)
    (folder / "link.png").symlink_to("grey.png")
    return list(write)


def rewrite(path: Path, values: dict[int, int]) -> None:
    """Overwrite values of tags in the first directory of a TIFF."""
    with tifffile.TiffFile(path) as tiff:
        places = {code: tiff.pages[0].tags[code].valueoffset for code in values}
    with path.open("r+b") as file:
        for code, place in places.items():
            file.seek(place)
            file.write(struct.pack("<I", values[code]))


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that promises a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
