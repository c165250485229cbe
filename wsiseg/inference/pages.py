"""What a run has drawn of its slides; the rooms above draw it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from wsiseg.inference.slide_report import SlideReport
from wsiseg.slides.overview import Overview
from wsiseg.store.slide_store import SlideStore


class Pages(ABC):
    """Pictures and pages of a run; `predict` calls them where the slide is ready for them."""

    @abstractmethod
    def draw(self, store: SlideStore, thumbnail: Overview, path: Path) -> None:
        """Write the preview of a slide whose nuclei are numbered.

        Parameters
        ----------
        store : SlideStore
            The slide's store.
        thumbnail : Overview
            The slide, to draw on.
        path : Path
            The picture to write.
        """

    @abstractmethod
    def add(self, report: SlideReport) -> None:
        """Begin the page of a slide that is done; a page that cannot be made stops nothing."""
