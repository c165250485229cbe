"""Cells of a table, each a JSON file: what is there is not computed again, as `make` does it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.files import write_text


def cell(
    path: Path,
    settings: Mapping[str, Any],
    compute: Callable[[], Mapping[str, Any]],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Return the cell in a file if it was made with these settings, else compute and keep it.

    Parameters
    ----------
    path : Path
        The JSON file.
    settings : mapping
        JSON values that the result follows from.
    compute : callable
        Returns JSON values.
    say : callable
        Is told what is computed.
    """
    wanted = json.loads(json.dumps(settings))
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if kept["settings"] == wanted:
            return kept
    say(f"{path.parent.name}/{path.stem} ...")
    started = time.monotonic()
    result = {"settings": wanted, **compute(), "wall_s": round(time.monotonic() - started, 2)}
    write_text(path, json.dumps(result, indent=1))
    return result
