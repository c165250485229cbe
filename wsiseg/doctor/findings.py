"""Findings of `wsiseg doctor`, as text and as values."""

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
        What was checked.
    state : {"ok", "note", "bad"}
        note: works, but could work better; bad: does not work.
    says : str
        The finding as text.
    todo : str
        What to do about it; empty if there is nothing to do.
    facts : dict
        The finding as values, for `--json`.
    """

    topic: str
    state: State
    says: str
    todo: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Examination:
    """All findings, with the versions and the system that they hold for.

    Parameters
    ----------
    wsiseg, python, system : str
        Versions, and the operating system.
    findings : tuple of Finding
        In the order in which they are printed.
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
