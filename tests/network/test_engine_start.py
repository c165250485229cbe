"""The first moments of the CPU engine in a process, which another thread may share."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from command_line import command_environment

from wsiseg.network import engine
from wsiseg.network.fold import fold
from wsiseg.network.model import load_model

# Each child asks in two threads at once for what OpenVINO looks up when it first runs.
TWO_THREADS = """
import os, signal, sys, threading
import openvino
from wsiseg.network.engine import make_engine
from wsiseg.network.model import load_model

model = load_model()

def child():
    make_engine(model, "cpu", 2)
    sys.setswitchinterval(1e-6)  # makes what is rare the rule
    both = threading.Barrier(2)
    def ask():
        both.wait()
        openvino.Type.f32.to_dtype()
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

for _ in range(5):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        child()
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        sys.exit("two threads wait for each other")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks")
def test_two_threads_may_run_the_network_first() -> None:
    pytest.importorskip("openvino", reason="the CPU engine is torch")
    done = subprocess.run(
        [sys.executable, "-c", TWO_THREADS], env=command_environment(), capture_output=True, text=True,
        timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("given", [None, "SSE41"])
def test_what_openvino_is_told_of_vectors_is_told_to_nobody_else(
    monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    """torch's own oneDNN reads the same variable, and training would take twice as long."""
    pytest.importorskip("openvino")
    monkeypatch.delenv(engine.ISA, raising=False)
    if given is not None:
        monkeypatch.setenv(engine.ISA, given)
    made, seen = engine._openvino_model, []

    def looked_at(network):
        seen.append(os.environ[engine.ISA])
        return made(network)

    monkeypatch.setattr(engine, "_openvino_model", looked_at)
    engine.OpenVINOEngine(fold(load_model()))
    assert seen == [given or "AVX2"]
    assert os.environ.get(engine.ISA) == given
