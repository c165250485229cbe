"""The progress of a batch in a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import command_environment


@pytest.mark.slow
@pytest.mark.parametrize("no_color", [None, "1"])
def test_a_terminal_gets_a_bar_and_no_color_is_heeded(
    tmp_path: Path, small_slide: Path, model_file: Path, no_color: str | None
) -> None:
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    environment = (
        command_environment() | {"TERM": "xterm-256color"} | ({"NO_COLOR": no_color} if no_color else {})
    )
    arguments = ["predict", small_slide, "-o", tmp_path, "-m", model_file, "--slide-mpp", 0.25]
    process = subprocess.Popen(
        [sys.executable, "-m", "wsiseg", *map(str, arguments)],
        env=environment, stdin=follower, stdout=follower, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:  # the last writer closed the terminal
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    assert process.wait() == 0, shown.decode()
    assert b"MP/s" in shown
    assert "━".encode() in shown
    assert (b"\x1b[3" in shown) is (no_color is None)  # colours are escape sequences that begin so
