"""What was found, in words and in figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

State = Literal["ok", "note", "bad"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Parameters
    ----------
    topic : str
        What was looked at.
    state : {"ok", "note", "bad"}
        note: wsiseg works, but less well than it could; bad: something that was asked for cannot work.
    says : str
        What was found.
    todo : str
        What to do about it; empty if nothing.
    facts : dict
        The same in figures, for `--json`.
    """

    topic: str
    state: State
    says: str
    todo: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Examination:
    """All findings, and on what.

    Parameters
    ----------
    wsiseg, python, system : str
        Versions.
    findings : tuple of Finding
    """

    wsiseg: str
    python: str
    system: str
    findings: tuple[Finding, ...]

    @property
    def is_well(self) -> bool:
        """Whether nothing is bad."""
        return all(finding.state != "bad" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"ok": self.is_well, **asdict(self)}
