"""Probes in a child: what is broken, crashes or hangs is an answer, and the rest is asked all the same."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from wsiseg.doctor.ask import ask

LIBRARIES = {
    "fine_library": "print('a banner without a line end', end='')",
    "broken_library": "raise ImportError('libGL.so.1: cannot open shared object file\\nsecond line')",
    "crashing_library": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "exiting_library": "import os; os._exit(3)",
    "hanging_library": "import time; time.sleep(600)",
}


@pytest.fixture
def libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, code in LIBRARIES.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)


def _library(name: str) -> tuple[str, str, str]:
    return ("library", name, "click")


@pytest.mark.usefixtures("libraries")
def test_a_broken_library_is_an_answer() -> None:
    requests = [_library(name) for name in ("broken_library", "no_such_library", "fine_library")]
    broken, missing, fine = ask(requests).values()
    assert broken["error"] == "ImportError: libGL.so.1: cannot open shared object file"
    assert "No module named 'no_such_library'" in missing["error"]
    assert fine == {"version": fine["version"]}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.usefixtures("libraries")
def test_a_crash_names_its_library_and_the_rest_is_asked() -> None:
    names = ["crashing_library", "fine_library", "exiting_library", "broken_library"]
    answers = ask([_library(name) for name in names])
    assert answers[_library("crashing_library")]["error"] == "crashed Python (SIGSEGV)"
    assert answers[_library("exiting_library")]["error"] == "exited Python with code 3"
    assert "version" in answers[_library("fine_library")]
    assert "libGL" in answers[_library("broken_library")]["error"]


@pytest.mark.usefixtures("libraries")
def test_what_hangs_is_given_up() -> None:
    answers = ask([_library("hanging_library")], patience_s=2.0)
    assert answers[_library("hanging_library")]["error"] == "gave no answer within 2 s"


def test_a_python_that_does_not_start_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsiseg.doctor.ask._CHILD", "raise SystemExit(7)")
    answers = ask([_library("click"), ("gpu",)])
    assert {answer["error"] for answer in answers.values()} == {"exited Python with code 7"}


def test_a_file_in_the_working_folder_is_not_taken_for_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "click.py").write_text("raise ImportError('the wrong one')")
    (tmp_path / "json.py").write_text("raise ImportError('the wrong one')")
    monkeypatch.chdir(tmp_path)
    assert "version" in ask([_library("click")])[_library("click")]
