"""Who watches a prediction; progress bars are drawn from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsiseg.inference.slide_report import SlideReport


class PredictObserver:
    """What a run tells whoever watches; it decides nothing. This one is silent."""

    def run_started(self, slides: int) -> None:
        """Hear how many slides there are."""

    def slide_started(self, name: str, megapixels: float, resumed_megapixels: float) -> None:
        """Hear that a slide's plan is known."""

    def advanced(self, megapixels: float, nuclei: int) -> None:
        """Hear that a block or tile is done."""

    def phase(self, name: str) -> None:
        """Hear that the slide enters a phase after the network."""

    def tile_failed(self, row: int, col: int, cause: str) -> None:
        """Hear that a block stays empty, and why."""

    def warned(self, text: str) -> None:
        """Hear of a trouble that ends no slide."""

    def slide_ended(self, report: SlideReport) -> None:
        """Hear that a slide is done, skipped or failed."""

    def failed(self, error: BaseException) -> None:
        """Hear of an error that ended a slide; `slide_ended` tells its cause again."""
