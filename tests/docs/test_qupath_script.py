"""The Groovy script for QuPath, run by Groovy against a stand-in for QuPath's functions.

Groovy is no part of the tests' requirements: `GROOVY_HOME` says where one is (`lib/groovy-4.*.jar`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

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


def _run(groovy: list[str], folder: Path, image: str, measurement: str = "null") -> str:
    text = SCRIPT.read_text(encoding="utf-8")
    for old, new in (
        ("/path/to/out", folder.as_posix()),
        ("measurement = null", f"measurement = {measurement}"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    script = folder.parent / "import.groovy"
    script.write_text(text, encoding="utf-8")
    command = [*groovy, f"-Dimage={image}", "groovy.ui.GroovyMain", "-c", "UTF-8", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_imports_parts_in_order_and_replaces_nuclei(groovy: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    name = safe_name("a slide: #1")
    for part in ("part02", "part10", "part01", "partx"):
        (folder / f"{name}.{part}.geojson.gz").touch()
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
