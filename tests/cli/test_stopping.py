"""What is said at the end of a command that a signal stopped."""

from __future__ import annotations

import subprocess
import sys

import pytest
from command_line import command_environment

from wsiseg.cli.stopping import EXIT_INTERRUPTED, EXIT_TERMINATED, last_words

# A signal that comes while a library calls back into Python: what is raised there goes no further.
IN_A_CALLBACK = """
import ctypes, os, signal
from wsiseg.cli.stopping import Stopping

stopping = Stopping("predict")
stopping.listen()

@ctypes.CFUNCTYPE(None)
def signalled():
    signal.raise_signal(signal.SIGTERM)

@ctypes.CFUNCTYPE(None)
def failing():
    raise ValueError("of another kind")

failing()
signalled()
print("went on", stopping.code, flush=True)
stopping.leave(said=False)
"""


@pytest.mark.parametrize("command", ["fit", "predict"])
def test_what_can_be_gone_on_with_is_said(command: str) -> None:
    expected = "interrupted; finished work is kept, repeat the command to resume"
    assert last_words(EXIT_INTERRUPTED, command) == expected


@pytest.mark.parametrize("command", ["view", "demo", "--version", None])
def test_nothing_is_promised_of_what_begins_anew(command: str | None) -> None:
    assert last_words(EXIT_TERMINATED, command) == "terminated"


def test_a_signal_inside_of_a_callback_leaves_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_CALLBACK], env=command_environment(), capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == (f"went on {EXIT_TERMINATED}\n", EXIT_TERMINATED)
    assert "Terminated" not in done.stderr
    assert done.stderr.count("Traceback") == 1, "other failures are still told"
    assert "ValueError: of another kind" in done.stderr
    assert "repeat the command to resume" in done.stderr
