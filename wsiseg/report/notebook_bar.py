"""A progress bar in the output of a notebook's cell."""

from __future__ import annotations

import sys
from html import escape
from importlib import import_module
from typing import Any


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return getattr(ipython and ipython.get_ipython(), "kernel", None) is not None


class NotebookBar:
    """A bar and a line of text, shown in the cell that is running."""

    def __init__(self) -> None:
        # IPython has no types, and is there where there is a notebook.
        ipython: Any = import_module("IPython.display")
        self._html = ipython.HTML
        self._shown: Any = ipython.display(self._html("<progress></progress>"), display_id=True)

    def show(self, share: float, text: str) -> None:
        """Move the bar and replace the text.

        Parameters
        ----------
        share : float
            How much is done, 0 to 1.
        text : str
            Plain text; it is escaped.
        """
        bar = f'<progress max="1" value="{min(1.0, share):.3f}"></progress>'
        self._shown.update(self._html(f"{bar} {escape(text)}"))
