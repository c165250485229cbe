"""The interface by which a run has its previews and pages drawn; `report` implements it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from wsiseg.inference.slide_report import SlideReport
from wsiseg.slides.overview import Overview
from wsiseg.store.slide_store import SlideStore


class Pages(ABC):
    """Draws pictures and pages of a run; `predict` calls it when a slide is ready."""

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
        """Start the page of a finished slide; a page that cannot be made does not stop the run."""
