"""Imports all that `fit` needs, for processes that start from one that has imported this."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fitting

from wsiseg.training.config import from_json


def fit(images: Path, out: Path, config: dict[str, Any]) -> None:
    """Train; in a module of its own, since test files cannot be imported in other processes."""
    fitting.fit(images, out, from_json(config))
