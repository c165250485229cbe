"""The result of a training run, which a notebook shows with sample crops."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from wsiseg.errors import SlideError
from wsiseg.training.comparison import Comparison
from wsiseg.training.run_folder import CONTACT_SHEET
from wsiseg.training.selection import Choice
from wsiseg.training.state import RepeatState


@dataclass(frozen=True)
class FitResult:
    """The result of a run.

    Parameters
    ----------
    output : Path
        The run folder; `wsiseg predict -m` takes it.
    choice : Choice
        Repeat, channel and epoch of the model.
    failures : tuple of SlideError
        Slides that were left out, with the cause.
    finished : bool
        False if `max_minutes` ended the run before its last epoch.
    comparison : Comparison or None
        How the fitted model does beside the one that training started from, without labels; None where there
        was none, or training did not end.
    states : mapping of int to RepeatState
        What each repeat has learned, by its number from 1; 0 is the consensus.
    """

    output: Path
    choice: Choice
    failures: tuple[SlideError, ...]
    finished: bool
    comparison: Comparison | None
    states: Mapping[int, RepeatState] = field(repr=False)

    def _repr_html_(self) -> str:
        """Return the model in words, and what it finds in sample crops."""
        text = f"<p>Model in {escape(str(self.output))}: {escape(str(self.choice))}</p>"
        if self.comparison is not None:
            text += f"<p>{escape(str(self.comparison))}</p>"
        try:
            sheet = base64.b64encode((self.output / CONTACT_SHEET).read_bytes()).decode()
        except OSError:
            return text
        return f'{text}<img alt="confidence in sample crops" width="640" src="data:image/png;base64,{sheet}">'
