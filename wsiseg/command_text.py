"""Commands as one would type them."""

from __future__ import annotations

import os
import shlex
import subprocess


def command_line(*arguments: str | os.PathLike[str]) -> str:
    """Return a command that can be pasted into the shell of this system, whatever is in its words."""
    texts = [os.fspath(argument) for argument in arguments]
    return subprocess.list2cmdline(texts) if os.name == "nt" else shlex.join(texts)
