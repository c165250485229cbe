"""Runs probes in a child process, and in a new one after a probe has crashed it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from wsiseg.doctor.probes import MARK

Request = tuple[str, ...]
Answer = dict[str, Any]

# A probe takes seconds; a slide on a dead network drive would hang forever.
PATIENCE_S = 120.0
# Isolated, so that a numpy.py in the working folder is not imported as numpy; the path is passed on.
_CHILD = (
    "import json, sys; path, requests = map(json.loads, sys.argv[1:]); sys.path[:] = path; "
    "from wsiseg.doctor.probes import main; main(requests)"
)


def ask(requests: Sequence[Request], patience_s: float = PATIENCE_S) -> dict[Request, Answer]:
    """Return the answer to each request; a probe that fails answers `{"error": why}`.

    Parameters
    ----------
    requests : sequence of tuple of str
        Names of probes with their arguments.
    patience_s : float
        How long a child may take for all of its requests.
    """
    answers: dict[Request, Answer] = {}
    left = list(requests)
    while left:
        printed, end = _run(left, patience_s)
        lines = [json.loads(line[len(MARK) :]) for line in printed.split("\n") if line.startswith(MARK)]
        answers |= {tuple(line["ended"]): line["answer"] for line in lines if "ended" in line}
        begun = [tuple(line["began"]) for line in lines if "began" in line]
        left = [request for request in left if request not in answers]
        # If not even the first probe started, every further child would fail in the same way.
        culprits = [each for each in begun if each in left] or left
        answers |= {each: {"error": end, "kind": "crash"} for each in culprits}
        left = [request for request in left if request not in answers]
    return answers


def _run(requests: Sequence[Request], patience_s: float) -> tuple[str, str]:
    """Return what a child printed, and how it ended."""
    arguments = [json.dumps([entry for entry in sys.path if entry]), json.dumps(requests)]
    with subprocess.Popen(
        [sys.executable, "-I", "-c", _CHILD, *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        encoding="utf-8", errors="replace",
    ) as child:  # fmt: skip
        try:
            printed, _ = child.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            child.kill()
            printed, _ = child.communicate()
            return printed, f"gave no answer within {patience_s:.0f} s"
    return printed, _end_of(child.returncode)


def _end_of(code: int) -> str:
    if code >= 0:
        return f"exited Python with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"crashed Python ({name})"
