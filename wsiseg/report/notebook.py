"""Progress and results as a notebook shows them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from html import escape
from pathlib import Path

import numpy as np

from wsiseg.inference.observer import PredictObserver
from wsiseg.inference.slide_report import SlideReport
from wsiseg.report.notebook_bar import NotebookBar
from wsiseg.report.page import data_uri, jpeg
from wsiseg.store.outputs import Outputs

# Previews become part of the notebook's file; with more slides than this the table is enough.
MOST_PREVIEWS = 12
COLUMNS = ("name", "state", "nuclei", "nuclei_per_mm2", "tissue_mm2", "threshold", "seconds", "cause")


class Reports(list[SlideReport]):
    """The outcome of each slide of a run, shown as a table with previews in a notebook.

    Parameters
    ----------
    reports : iterable of SlideReport
        One a slide.
    output : path-like
        Where the outputs are.
    """

    def __init__(self, reports: Iterable[SlideReport], output: str | os.PathLike[str]) -> None:
        super().__init__(reports)
        self.output = os.fspath(output)

    def __repr__(self) -> str:
        """Return a line per slide."""
        done = sum(report.is_whole for report in self)
        return "\n".join([f"{done} of {len(self)} slides done in {self.output}", *map(repr, self)])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in COLUMNS)
        rows = [
            "<tr>" + "".join(f"<td>{escape(str(getattr(report, name)))}</td>" for name in COLUMNS) + "</tr>"
            for report in self
        ]
        pictures = [self._picture(report) for report in self[:MOST_PREVIEWS]]
        return f"<table><tr>{head}</tr>{''.join(rows)}</table>{''.join(pictures)}"

    def _picture(self, report: SlideReport) -> str:
        import cv2

        # A quarter of the preview's side, as the pictures become part of the notebook's file.
        preview = cv2.imread(str(Outputs(Path(self.output), report.name).preview), cv2.IMREAD_REDUCED_COLOR_4)
        if preview is None:
            return ""
        data = jpeg(np.asarray(preview[..., ::-1], np.uint8))
        return f'<img alt="{escape(report.name)}" width="480" src="{data_uri(data, "jpeg")}">'


class NotebookProgress(PredictObserver):
    """A bar in the output of a notebook's cell."""

    def __init__(self) -> None:
        self._bar = NotebookBar()
        self._slides, self._ended = 0, 0
        self._name, self._nuclei = "", 0
        self._megapixels = self._done = 0.0

    def run_started(self, slides: int) -> None:
        """Remember how many slides there are."""
        self._slides = slides

    def slide_started(self, name: str, megapixels: float, resumed_megapixels: float) -> None:
        """Show the slide, from where it was resumed."""
        self._name, self._nuclei = name, 0
        self._megapixels, self._done = megapixels, resumed_megapixels
        self._show("finding nuclei")

    def advanced(self, megapixels: float, nuclei: int) -> None:
        """Move the bar and count the new nuclei."""
        self._done += megapixels
        self._nuclei += nuclei
        self._show("finding nuclei")

    def phase(self, name: str) -> None:
        """Show what is being done."""
        self._show(name)

    def slide_ended(self, report: SlideReport) -> None:
        """Count the slide and show its state."""
        self._ended += 1
        self._megapixels = self._done = 0.0
        self._name, self._nuclei = report.name, report.nuclei
        self._show(report.state)

    def _show(self, what: str) -> None:
        share = min(1.0, self._done / self._megapixels) if self._megapixels else 0.0
        self._bar.show(
            (self._ended + share) / self._slides,
            f"{self._ended} of {self._slides} slides; {self._name}: {what}, {self._nuclei:,} nuclei",
        )
