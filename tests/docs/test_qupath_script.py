"""The Groovy script for QuPath, run by Groovy against a stand-in for QuPath's functions.

Groovy is no part of the tests' requirements: `GROOVY_HOME` says where one is (`lib/groovy-4.*.jar`).
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from wsiseg.machine.marks import GEOJSON_HEAD, GEOJSON_TAIL, geojson_head
from wsiseg.slides.sources import safe_name

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "qupath_import.groovy"
STAND_IN = Path(__file__).parent / "qupath_stand_in"


@pytest.fixture
def groovy() -> list[str]:
    """The command that runs Groovy."""
    jars = sorted(Path(os.environ.get("GROOVY_HOME", "/none"), "lib").glob("groovy-[45]*.jar"))
    if not jars or not shutil.which("java"):
        pytest.skip("GROOVY_HOME with a groovy-4 jar in lib/, and java, are needed")
    return [
        "java",
        "-Dfile.encoding=UTF-8",
        "-Dstdout.encoding=UTF-8",
        "-cp",
        os.pathsep.join(map(str, [*jars, STAND_IN])),
    ]


def _run(
    groovy: list[str], folder: Path, image: str, measurement: str = "null", size: str = "3000x2500"
) -> str:
    text = SCRIPT.read_text(encoding="utf-8")
    for old, new in (
        ("/path/to/out", folder.as_posix()),
        ("measurement = null", f"measurement = {measurement}"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    script = folder.parent / "import.groovy"
    script.write_text(text, encoding="utf-8")
    said = [f"-Dimage={image}", f"-Dsize={size}"]
    command = [*groovy, *said, "groovy.ui.GroovyMain", "-c", "UTF-8", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_imports_parts_in_order_and_replaces_nuclei(groovy: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    name = safe_name("a slide: #1")
    for part in ("part02", "part10", "part01", "partx"):
        (folder / f"{name}.{part}.geojson.gz").write_bytes(gzip.compress(GEOJSON_HEAD + GEOJSON_TAIL))
    (folder / "a slide.geojson").touch()
    said = _run(groovy, folder, "a slide: #1", '"Area µm^2"')
    found = [line.removeprefix("imported ") for line in said.splitlines() if line.startswith("imported")]
    assert found == [f"{name}.part{n}.geojson.gz" for n in ("01", "02", "10")]
    assert "removed [Nucleus]" in said
    assert said.count("Nucleus (large) ff005ac8") == 3
    assert "Tumor" in said


def test_a_whole_file_is_enough_and_a_missing_one_is_said(groovy: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    assert "no nuclei for this image: neither slide.geojson" in _run(groovy, folder, "slide")
    (folder / "slide.geojson").touch()
    assert "imported slide.geojson" in _run(groovy, folder, "slide.ome")


SCAN, WHOLE = "1200x1000", "3000x2500"


@pytest.mark.parametrize(
    ("origin", "size", "moved"),
    [
        ("slide", SCAN, "[-1000, -400]"),
        ("slide", WHOLE, ""),
        ("scan", SCAN, ""),
        ("scan", WHOLE, "[1000, 400]"),
    ],
)
@pytest.mark.parametrize("ending", [".geojson", ".geojson.gz"])
def test_nuclei_are_put_where_the_scan_is_shown(
    groovy: list[str], tmp_path: Path, origin: str, size: str, moved: str, ending: str
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    data = geojson_head((1000, 400, 1200, 1000), origin) + GEOJSON_TAIL
    (folder / f"slide{ending}").write_bytes(gzip.compress(data) if ending.endswith(".gz") else data)
    said = _run(groovy, folder, "slide", size=size)
    assert (f"added 2 at [{moved}]" in said) == bool(moved)
    assert ("added" in said) == bool(moved)
    assert said.splitlines()[-1].startswith("4 nuclei")
