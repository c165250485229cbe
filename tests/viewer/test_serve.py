"""The server as a process, and the command line in front of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from command_line import Command, command_environment
from viewed_store import make_viewed

from wsiseg.errors import UsageError
from wsiseg.viewer import serve
from wsiseg.viewer.serve import listening


def test_a_port_in_use_is_said() -> None:
    with listening(0) as first:
        port = first.getsockname()[1]
        assert first.getsockname()[0] == "127.0.0.1"
        with pytest.raises(UsageError, match=f"port {port} is in use.*leave --port out"):
            listening(port)


@pytest.mark.skipif(os.name != "posix", reason="screens are named in variables on Linux only")
def test_a_browser_is_opened_where_there_is_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)
    assert not serve.has_screen()
    monkeypatch.setenv("DISPLAY", ":0")
    assert serve.has_screen()


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C cannot be sent to one process")
def test_from_the_first_line_to_ctrl_c(tmp_path: Path) -> None:
    store = make_viewed(tmp_path / "a folder, with spaces")
    command = [sys.executable, "-m", "wsiseg", "view", str(store), "--no-browser"]
    with subprocess.Popen(
        command, env=command_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:")
            with urllib.request.urlopen(address, timeout=30) as answer:
                assert b"<title>wsiseg</title>" in answer.read()
            with urllib.request.urlopen(f"{address}slide/0/0/0", timeout=30) as answer:
                assert answer.read()[:3] == b"\xff\xd8\xff"
            port = int(address.split(":")[2].split("/")[0])
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30)
            # another address of this machine reaches nothing
            with socket.socket() as other:
                assert other.connect_ex(("127.0.0.2", port)) != 0
        finally:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "Press Ctrl-C to stop the viewer" in said
        assert "viewer closed" in said
        assert "Traceback" not in said


def test_a_store_that_is_not_there(command: Command, tmp_path: Path) -> None:
    done = command("view", tmp_path / "no.zarr", "--no-browser")
    assert done.returncode == 1
    assert "no such store" in done.stderr
    assert not done.stdout
