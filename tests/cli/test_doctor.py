"""`wsiseg doctor` as a process, on this machine and on one with broken libraries."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_line import Command

from wsiseg.cli.main import cli
from wsiseg.doctor.findings import Examination, Finding


@pytest.mark.slow
def test_all_is_well_here(command: Command, svs_slide: Path, tmp_path: Path) -> None:
    done = command("doctor", svs_slide, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) < 25
    assert lines[0].startswith("wsiseg ")
    for topic in ("readers", "libraries", "GPU", "network", "cores", "memory", "output", "slide"):
        assert any(f"  {topic} " in line for line in lines), topic
    assert "1,500 x 1,180 px" in done.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_broken_libraries_do_not_stop_it(command: Command, tmp_path: Path) -> None:
    broken = {
        "openslide": "raise ImportError('libopenslide.so.1: cannot open')",
        "numba": "import os, signal; os.kill(os.getpid(), signal.SIGILL)",
        "cv2": "raise ImportError('numpy.core.multiarray failed to import')",
        "rich": "raise ImportError('gone')",
        "torch": "raise OSError('libtorch_cpu.so: undefined symbol')",
    }
    for name, code in broken.items():
        (tmp_path / f"{name}.py").write_text(code)
    done = command("doctor", tmp_path / "none.svs", "--json", env={"PYTHONPATH": _first(tmp_path)})
    assert done.returncode == 1, done.stderr
    assert not done.stderr
    found = json.loads(done.stdout)
    assert not found["ok"]
    state = {each["topic"]: each for each in found["findings"]}
    assert {topic for topic, each in state.items() if each["state"] == "bad"} == {
        "readers", "libraries", "network", "slide",
    }  # fmt: skip
    assert "libopenslide.so.1" in state["readers"]["says"]
    assert "opencv-python-headless" in state["libraries"]["todo"]
    assert "numba" in state["libraries"]["todo"]
    assert "libtorch_cpu.so" in state["GPU"]["says"]
    assert "none.svs" in state["slide"]["says"]


def _first(folder: Path) -> str:
    """Return a PYTHONPATH with a folder before the rest."""
    from command_line import command_environment

    return f"{folder}:{command_environment()['PYTHONPATH']}"


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], coloured: bool) -> None:
    findings = (Finding("cores", "ok", "2"), Finding("output", "bad", "/x " * 60, "give another"))
    monkeypatch.setattr(
        "wsiseg.doctor.examine.examine", lambda *_: Examination("1", "3.11", "Linux", findings)
    )
    monkeypatch.delenv("NO_COLOR", raising=False)
    done = CliRunner(env=environment).invoke(cli, ["doctor"], color=True)
    assert done.exit_code == 1
    assert ("\x1b[" in done.stdout) is coloured
    assert "-> give another" in done.stdout
    assert "ok" in CliRunner().invoke(cli, ["doctor"]).stdout
    assert "cores" not in CliRunner().invoke(cli, ["doctor", "-q"]).stdout
