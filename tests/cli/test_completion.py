"""Shell completion, as click writes it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Command, command_environment


@pytest.mark.parametrize(
    ("words", "word", "expected"),
    [
        ("wsiseg pre", 1, "plain,predict"),
        ("wsiseg predict --slide-", 2, "plain,--slide-mpp"),
        ("wsiseg predict --reader til", 3, ""),
        ("wsiseg predict --reader ti", 3, "plain,tiffslide"),
    ],
)
def test_words_are_completed(command: Command, words: str, word: int, expected: str) -> None:
    environment = {"_WSISEG_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(word)}
    done = command(env=environment)
    assert done.stdout.strip() == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_takes_the_script(shell: str, tmp_path: Path) -> None:
    if shell == "bash" and not shutil.which("bash"):
        pytest.skip("no bash here")
    environment = command_environment() | {"_WSISEG_COMPLETE": f"{shell}_source"}
    # click asks bash for its version before it writes a script for it.
    done = subprocess.run(
        [sys.executable, "-m", "wsiseg"], env=environment, capture_output=True, text=True, check=False
    )
    assert "_WSISEG_COMPLETE" in done.stdout
    if shell == "bash" and "older than" not in done.stderr:
        script = tmp_path / "complete.bash"
        script.write_text(done.stdout)
        sourced = subprocess.run(
            ["bash", "-c", f"source '{script}' && complete -p wsiseg"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert sourced.returncode == 0, sourced.stderr
        assert "_wsiseg_completion" in sourced.stdout
