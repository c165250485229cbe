"""What is said of what was found, and what to do."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from wsiseg.doctor import examine as examining
from wsiseg.doctor import machine
from wsiseg.doctor.examine import examine
from wsiseg.doctor.findings import Finding

GPU = {"cuda": [], "mps": False, "driver": False, "built_for_cuda": None, "torch": "2.13.0"}
NETWORK = {"engine": "fused kernel, numba 1.2", "threads": 2, "mpp": 0.5, "mp_per_s": 10.0}
SLIDE = {
    "reader": "openslide", "width_l0": 4000, "height_l0": 3000, "mpp": 0.25, "warnings": [], "mp_per_s": 50.0,
}  # fmt: skip
DEAD = {"error": "crashed Python (SIGILL)", "kind": "crash"}


def _found(
    monkeypatch: pytest.MonkeyPatch, topic: str, path: str | None = "a.svs", **answers: dict[str, Any]
) -> Finding:
    """Return the finding of a topic on a machine that is well but for `answers`."""

    def ask(requests: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], dict[str, Any]]:
        known = {
            "gpu": GPU,
            "network": NETWORK,
            "slide": SLIDE,
            "openslide": {"version": "1", "library": "4"},
        }
        known |= answers
        names = [request[2] if request[0] == "library" else request[0] for request in requests]
        found = [known.get(name, {"version": "1.2"}) for name in names]
        return dict(zip(requests, found, strict=True))

    monkeypatch.setattr(examining, "ask", ask)
    (finding,) = [each for each in examine(path).findings if each.topic == topic]
    return finding


@pytest.mark.parametrize(
    ("topic", "answers", "state", "says", "todo"),
    [
        ("readers", {}, "ok", "openslide 1 (library 4), tiffslide 1.2, pillow 1.2", ""),
        ("readers", {"openslide": DEAD}, "bad", "openslide BROKEN", "openslide-python openslide-bin"),
        ("libraries", {}, "ok", "numpy 1.2", ""),
        ("libraries", {"numba": DEAD}, "bad", "numba: crashed Python (SIGILL)", "--force-reinstall numba"),
        ("URLs", {"s3fs": DEAD}, "ok", "local slides only", "s3fs aiohttp"),
        ("GPU", {}, "ok", "none", ""),
        ("GPU", {"gpu": GPU | {"cuda": ["H200"], "driver": True}}, "ok", "H200", ""),
        ("GPU", {"gpu": GPU | {"mps": True}}, "ok", "Mac", ""),
        ("GPU", {"gpu": GPU | {"driver": True}}, "note", "CPU-only", "--index-url"),
        ("GPU", {"gpu": GPU | {"driver": True, "built_for_cuda": "12.6"}}, "note", "no GPU", "nvidia-smi"),
        ("GPU", {"gpu": DEAD}, "note", "SIGILL", "--force-reinstall torch"),
        ("network", {}, "ok", "10.0 MP/s, 2.5 mm2 of tissue per second", ""),
        ("network", {"network": DEAD}, "bad", "cannot run: crashed Python", "numba torch"),
        ("slide", {}, "ok", "a.svs: openslide, 4,000 x 3,000 px, 50 MP/s per thread, 0.25 um per pixel", ""),
        ("slide", {"slide": SLIDE | {"mp_per_s": 10.0}}, "ok", "slower than the network", ""),
        ("slide", {"slide": SLIDE | {"mpp": None}}, "note", "not recorded", "--slide-mpp"),
        ("slide", {"slide": SLIDE | {"warnings": ["odd"]}}, "note", "odd", ""),
        ("slide", {"slide": {"error": "a.svs: the file is empty"}}, "bad", "a.svs: the file is empty", ""),
    ],
)
def test_words(
    monkeypatch: pytest.MonkeyPatch,
    topic: str,
    answers: dict[str, dict[str, Any]],
    state: str,
    says: str,
    todo: str,
) -> None:
    finding = _found(monkeypatch, topic, **answers)
    assert finding.state == state
    assert says in finding.says
    assert todo in finding.todo
    assert bool(finding.todo) == bool(todo)


def test_without_a_slide_nothing_is_said_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="not enough values"):
        _found(monkeypatch, "slide", path=None)


def test_output_that_is_a_file_or_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    assert machine.output(tmp_path / "file" / "out").state == "bad"
    found = machine.output(tmp_path / "new" / "out")
    assert found.state in ("ok", "note")
    assert "will be created" in found.says
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
    monkeypatch.setattr(machine, "LITTLE_DISK_BYTES", 1 << 62)
    assert "free some space" in machine.output(tmp_path).todo


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write")
def test_output_that_cannot_be_written() -> None:
    assert "/proc cannot be written" in machine.output(Path("/proc/none/out")).says


def test_little_memory_names_the_threads_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "available_cores", lambda: 16)
    monkeypatch.setattr(machine, "memory_limit", lambda: machine.BASE_BYTES + 3 * machine.WORKER_BYTES)
    found = machine.memory()
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        assert found.state == "note"
        assert "-w 3" in found.todo
        assert "limit of this container" in found.says


def test_every_library_that_comes_with_wsiseg_is_looked_at() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[\[<>=;]", text)[0] for text in project["dependencies"]}
    # These are looked at by what they do; distributed comes with dask.
    by_deed = {"openslide-python", "openslide-bin", "tiffslide", "pillow"}
    assert set(examining.NEEDED.values()) - {"distributed"} == needed - by_deed
