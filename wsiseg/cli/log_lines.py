"""Log lines of a batch for `-v`, easy to grep."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

PLAIN = re.compile(r"[\w.:/+@%,-]+")


def log_line(event: str, **values: object) -> str:
    """Return `time=... event=... key=value ...`; a value with special characters is quoted as JSON.

    Examples
    --------
    >>> log_line("slide_ended", name="a b", nuclei=12).partition(" ")[2]
    'event=slide_ended name="a b" nuclei=12'
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return " ".join(
        f"{key}={_value(value)}" for key, value in {"time": now, "event": event, **values}.items()
    )


def _value(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if PLAIN.fullmatch(text) else json.dumps(text)
