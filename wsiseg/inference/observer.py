"""Observers of a prediction, such as progress bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsiseg.inference.slide_report import SlideReport


class PredictObserver:
    """Receives the events of a run and has no influence on it. This one ignores them."""

    def run_started(self, slides: int) -> None:
        """Handle the start of a run with its number of slides."""

    def slide_started(self, name: str, megapixels: float, resumed_megapixels: float) -> None:
        """Handle the start of a slide whose size is known."""

    def advanced(self, megapixels: float, nuclei: int) -> None:
        """Handle a finished block or tile."""

    def phase(self, name: str) -> None:
        """Handle the start of a phase after the network."""

    def tile_failed(self, row: int, col: int, cause: str) -> None:
        """Handle a block that stays empty, and the cause."""

    def warned(self, text: str) -> None:
        """Handle a problem that does not fail the slide."""

    def slide_ended(self, report: SlideReport) -> None:
        """Handle the report of a slide that is done, skipped or failed."""

    def failed(self, error: BaseException) -> None:
        """Handle the exception that failed a slide; `slide_ended` follows with its report."""
