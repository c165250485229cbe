"""What can go wrong, in one family: every message names the file, the cause and what to do."""

from __future__ import annotations


def shown(text: str) -> str:
    r"""Return text for a terminal: line breaks, control characters and invalid characters are escaped.

    Parameters
    ----------
    text : str
        Any text.

    Examples
    --------
    >>> shown("a\n\x1b[31mb.svs")
    'a\\n\\x1b[31mb.svs'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class WsisegError(Exception):
    """Root of all errors that wsiseg raises on purpose."""


class UsageError(WsisegError):
    """The request itself is wrong: an option, a list of slides, settings that do not fit together."""


class SlideError(WsisegError):
    """A slide cannot be opened or read.

    Parameters
    ----------
    path : str
        Path or URL of the slide.
    cause : str
        What is wrong and what to do, as a sentence without the path.
    """

    def __init__(self, path: str, cause: str) -> None:
        super().__init__(path, cause)
        self.path = path
        self.cause = cause

    def __str__(self) -> str:
        return f"{shown(self.path)}: {self.cause}"


class ModelError(WsisegError):
    """A model file cannot be read, or is not a model of wsiseg."""


class LabelError(WsisegError):
    """A label file cannot be read, or does not belong to its image."""


class StoreError(WsisegError):
    """An output cannot be written, or holds something other than requested."""


class DamageError(StoreError):
    """A store is damaged: its files do not hold what was written."""


class ClusterError(WsisegError):
    """A Dask cluster cannot compute the tasks, or is gone."""
