"""Which files may be replaced: only those that wsiseg wrote, and never an input of the run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from wsiseg.errors import StoreError, UsageError
from wsiseg.machine.marks import is_ours
from wsiseg.machine.whole import write_whole

# A refusal names at most so many files.
_NAMED = 10


class Files:
    """Files by identity rather than by name: links and letter case do not matter.

    Parameters
    ----------
    paths : iterable of path-like
        Those that do not exist are left out.
    """

    def __init__(self, paths: Iterable[str | os.PathLike[str]]) -> None:
        self._known = {identity for path in paths if (identity := _identity(path))}

    def __contains__(self, path: str | os.PathLike[str]) -> bool:
        return _identity(path) in self._known


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def foreign(targets: Iterable[Path], inputs: Iterable[str | os.PathLike[str]] = ()) -> list[Path]:
    """Return the targets that must not be replaced: wsiseg did not make them, or they are inputs."""
    kept = Files(inputs)
    return [path for path in targets if os.path.lexists(path) and (path in kept or not is_ours(path))]


def refuse_foreign(targets: Iterable[Path], inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Raise if a target must not be replaced.

    Raises
    ------
    UsageError
        Naming the files.
    """
    found = foreign(targets, inputs)
    if found:
        raise UsageError(refusal(found))


def refusal(found: Iterable[Path | str]) -> str:
    """Return the message that names files which wsiseg does not replace."""
    paths = list(map(str, found))
    more = [f"and {len(paths) - _NAMED} more"] if len(paths) > _NAMED else []
    return "\n".join(
        [
            "wsiseg did not make these files, or they are its inputs, so it does not replace them:",
            *(f"  {text}" for text in [*paths[:_NAMED], *more]),
            "Choose another output folder, or move them away.",
        ]
    )


def write_output(target: Path, data: bytes) -> None:
    """Write a file whole or not at all; one that wsiseg did not make stays.

    Raises
    ------
    StoreError
        If such a file has the name.
    """
    check_free(target)
    write_whole(target, data)


def check_free(target: Path, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Raise if a target must not be replaced: such a file may have appeared since the run started.

    Raises
    ------
    StoreError
        With its name.
    """
    if foreign([target], inputs):
        raise StoreError(f"{target}: wsiseg did not make this file, so it stays as it is; move it away")
