"""Nothing that is read is executed, allocated unchecked, or leads out of the output folder."""

from __future__ import annotations

import ast
import csv
import gzip
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from command_line import command_environment
from hypothesis import given, settings
from hypothesis import strategies as st

import wsiseg
from wsiseg.errors import LabelError, UsageError, WsisegError
from wsiseg.evaluation.labels import read_labels
from wsiseg.slides import open_slide
from wsiseg.slides.expand import expand
from wsiseg.store.outputs import Outputs

PACKAGE = Path(wsiseg.__file__).parent
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "yaml", "xml"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "yaml.load"}
# The type of an error, whose name is all that is used.
ALLOWED = {("label_outlines.py", "xml.etree.ElementTree.ParseError")}
LAUGHS = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True))
LAUGHS = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">{LAUGHS}]>'
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY j SYSTEM "file:///etc/passwd">]>'


def imports_and_calls(tree: ast.AST) -> tuple[set[str], set[str], set[str]]:
    """Return the modules and names that a file imports, the functions it calls and its keyword arguments."""
    imported, called, keywords = set(), set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call):
            called.add(ast.unparse(node.func))
            keywords |= {ast.unparse(keyword) for keyword in node.keywords if keyword.arg}
    return imported, called, keywords


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.name)
def test_no_file_unpickles_executes_or_trusts_xml(file: Path) -> None:
    imported, called, keywords = imports_and_calls(ast.parse(file.read_text(encoding="utf-8")))
    unsafe = {name for name in imported if name.partition(".")[0] in UNSAFE_MODULES}
    assert unsafe <= {name for place, name in ALLOWED if place == file.name}
    assert not called & UNSAFE_CALLS
    assert not keywords & {"allow_pickle=True", "shell=True", "weights_only=False", "autoescape=False"}
    if "np.load" in called:
        assert "allow_pickle=False" in keywords


@pytest.mark.parametrize("prologue", [LAUGHS, OUTSIDE])
def test_entities_are_refused_in_labels_and_ome_and_never_looked_at_elsewhere(
    tmp_path: Path, prologue: str
) -> None:
    region = '<Region><Vertices><Vertex X="&j;" Y="1"/></Vertices></Region>'
    (tmp_path / "labels.xml").write_text(f"{prologue}<Annotations>{region}</Annotations>")
    with pytest.raises(LabelError, match=r"labels\.xml"):
        read_labels(tmp_path / "labels.xml", (9, 9))

    pixels = np.full((80, 90, 3), 200, np.uint8)
    xml = f'{prologue}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image>&j;</Image></OME>'
    for name, text in (("a.ome.tif", xml), ("b.tif", f"Aperio {prologue}&j;")):
        tifffile.imwrite(
            tmp_path / name, pixels, description=text, metadata=None, photometric="rgb", tile=(64, 64)
        )
    with pytest.raises(WsisegError, match=r"declares entities, which are refused"):
        open_slide(tmp_path / "a.ome.tif", "tiffslide")
    for name in ("a.ome.tif", "b.tif"):
        slide = open_slide(tmp_path / name)
        assert "root:" not in str(dict(slide.properties))
        assert len(str(dict(slide.properties))) < 20_000


HUNGRY = """
import resource, sys
from pathlib import Path
from wsiseg.errors import WsisegError
from wsiseg.evaluation.labels import read_labels
from wsiseg.slides import open_slide
from wsiseg.slides.tissue_mask import read_mask
import cv2, skimage.draw, wsiseg.slides.image_reader, wsiseg.slides.tiffslide_reader, scipy.io
limit = (300 << 20) + int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in sys.argv[1:]:
    uses = [lambda: read_labels(path)] if "labels" in path else [
        lambda: open_slide(path, "openslide").read_region(0, 0, 0, 64, 64),
        lambda: open_slide(path, "tiffslide").read_region(0, 0, 0, 64, 64),
        lambda: open_slide(path, "image"),
    ]
    for use in uses:
        try:
            use()
        except WsisegError as error:
            assert "memory" not in str(error), error
print("done")
"""


def test_sizes_are_checked_before_anything_is_allocated(tmp_path: Path) -> None:
    pixels = np.full((128, 128, 3), 200, np.uint8)
    paths = [tmp_path / name for name in ("bomb.tif", "wide.tif", "labels.geojson.gz", "labels.png")]
    # one tile that unpacks to half a gigabyte
    deflater = zlib.compressobj(9)
    bomb = b"".join(deflater.compress(bytes(1 << 20)) for _ in range(512)) + deflater.flush()
    with tifffile.TiffWriter(paths[0]) as writer:
        writer.write(
            iter([bomb] * 4), shape=pixels.shape, dtype=np.uint8, tile=(64, 64), compression="deflate",
            photometric="rgb",
        )  # fmt: skip
    tifffile.imwrite(paths[1], pixels, photometric="rgb")
    with tifffile.TiffFile(paths[1], mode="r+b") as tiff:
        for code in (256, 257, 278):
            tiff.pages[0].tags[code].overwrite(60_000)
    with gzip.open(paths[2], "wb", compresslevel=1) as file:
        square = '{"type":"Polygon","coordinates":[[[0,0],[9e8,0],[9e8,9e8],[0,9e8],[0,0]]]}'
        file.write(f'{{"type":"Feature","geometry":{square}}}'.encode())
    header = np.array([30_000, 30_000], ">u4").tobytes() + b"\x08\x00\x00\x00\x00"
    chunk = b"IHDR" + header
    data = (
        b"\x89PNG\r\n\x1a\n" + len(header).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    )
    paths[3].write_bytes(data)
    ended = subprocess.run(
        [sys.executable, "-c", HUNGRY, *map(str, paths)], env=command_environment(), text=True,
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.stdout == "done\n", ended.stderr


@settings(max_examples=60)
@given(st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=60), max_size=4))
def test_names_in_a_list_never_lead_out_of_the_output_folder(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("names")
    with (folder / "list.csv").open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        csv.writer(file).writerows([["slide"], *([name] for name in names)])
    try:
        sources = expand([str(folder / "list.csv")], 0.25)
    except UsageError:
        return
    assert len({source.name.casefold() for source in sources}) == len(sources)
    for source in sources:
        outputs = Outputs(folder / "out", source.name)
        for path in (outputs.store, outputs.unfinished, outputs.geojson, outputs.preview, outputs.lock):
            assert os.path.dirname(os.path.normpath(path)) == str(folder / "out")
            assert "\0" not in str(path)
        assert not source.name.startswith(("-", "=", "+", "@", "."))
