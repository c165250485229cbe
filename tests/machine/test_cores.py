"""Training does not spin while its threads wait, in whatever way it is started."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from command_line import command_environment

pytestmark = pytest.mark.slow

FIT = """
import wsiseg
from wsiseg.errors import UsageError
try:
    wsiseg.fit("none.svs", "run")
except UsageError:
    pass
"""
SAYS = "import os, sys; print(os.environ.get('OMP_WAIT_POLICY'), 'torch' in sys.modules)"


@pytest.mark.parametrize(
    ("start", "before", "said"),
    [
        ("import wsiseg; wsiseg.fit", None, "None False"),
        (FIT, None, "PASSIVE True"),
        (FIT, "ACTIVE", "ACTIVE True"),
    ],
)
def test_waiting_threads_sleep_unless_told_otherwise(start: str, before: str | None, said: str) -> None:
    env = {name: value for name, value in command_environment().items() if name != "OMP_WAIT_POLICY"}
    env |= {} if before is None else {"OMP_WAIT_POLICY": before}
    done = subprocess.run(
        [sys.executable, "-c", f"{start}\n{SAYS}"], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == said


def test_the_command_line_trains_so_too(tmp_path: os.PathLike[str]) -> None:
    code = (
        "import os, sys; sys.argv = ['wsiseg', 'fit', 'none.svs', '-o', 'run'];"
        "import atexit; atexit.register(lambda: print(os.environ.get('OMP_WAIT_POLICY')));"
        "import runpy; runpy.run_module('wsiseg', run_name='__main__')"
    )
    env = {name: value for name, value in command_environment().items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stdout.strip() == "PASSIVE"
