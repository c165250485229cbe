"""Slides: readers, the frame at the model's resolution, tissue, tiles, and what a user calls "slides"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsiseg.slides.reader import open_slide
    from wsiseg.slides.slide import Slide

__all__ = ["Slide", "open_slide"]


def __getattr__(name: str) -> Any:
    """Import the readers at first use, so that the package itself stays light."""
    if name in __all__:
        from wsiseg.slides import reader

        return getattr(reader, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
