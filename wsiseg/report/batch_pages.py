"""The pages of an output folder: made while a batch runs, or rebuilt from its files."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from wsiseg.config import OUTPUT_KINDS
from wsiseg.errors import UsageError, WsisegError
from wsiseg.inference.pages import Pages
from wsiseg.inference.run_log import RUN, SUMMARY
from wsiseg.inference.slide_report import SlideReport
from wsiseg.machine.replacing import refuse_foreign
from wsiseg.report.batch_index import finished_slides, known_seconds, write_index
from wsiseg.report.slide_page import write_slide_page
from wsiseg.report.slide_preview import draw_preview
from wsiseg.report.thumbnail import report_folder, start_report
from wsiseg.slides.overview import Overview
from wsiseg.store.outputs import INDEX, PAGE, REPORTS, Outputs
from wsiseg.store.slide_store import SlideStore

# During a batch its table is rewritten at most this often.
INDEX_EVERY_S = 20.0


class BatchPages(Pages):
    """Draws previews, and makes the pages of slides while the batch works on the next ones.

    A page that cannot be made does not stop the run.

    On leaving the ``with`` block the pages that wait are made and the table is written; after an exception
    only the current page is, and `wsiseg report` or a repeated run makes the others.

    Parameters
    ----------
    folder : Path
        The output folder.
    reader : str
        Library that opens the slides.
    warn : callable
        Called with the problem of a page that could not be made.
    only : sequence of str
        What is kept of a slide, see `wsiseg.config.OUTPUT_KINDS`: no "report", no pages.
    """

    def __init__(
        self,
        folder: Path,
        reader: str,
        warn: Callable[[str], None],
        only: Sequence[str] = OUTPUT_KINDS,
    ) -> None:
        self._folder, self._reader, self._warn, self._only = folder, reader, warn, only
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="pages")
        self._index_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)
        if "report" in self._only and (self._folder / SUMMARY).exists():
            self._guarded(lambda: write_index(self._folder))

    def draw(self, store: SlideStore, thumbnail: Overview, path: Path) -> None:
        """Draw the preview of a slide, and the thumbnail of its report, as far as they are kept."""
        if "report" in self._only:
            start_report(path.parent, store.name, thumbnail.rgb)
        if "preview" in self._only:
            draw_preview(store, thumbnail, path)

    def add(self, report: SlideReport) -> None:
        """Queue the page of a finished slide; a skipped slide keeps a page that is newer than its table."""
        if report.is_there and "report" in self._only:
            self._pool.submit(
                self._make, Outputs(self._folder, report.name), report.seconds, report.state == "skipped"
            )

    def _make(self, outputs: Outputs, seconds: float, was_done: bool) -> None:
        if was_done and _is_newer(report_folder(outputs.folder, outputs.name) / PAGE, outputs.parquet):
            return
        self._guarded(lambda: write_slide_page(outputs, self._reader, seconds or None))
        if time.monotonic() - self._index_at > INDEX_EVERY_S:
            self._index_at = time.monotonic()
            self._guarded(lambda: write_index(self._folder))

    def _guarded(self, make: Callable[[], object]) -> None:
        try:
            make()
        except Exception as error:  # results matter more than their pages
            self._warn(f"a page of the report could not be made: {error}")


Problem = WsisegError | OSError


def rebuild(
    folder: Path, reader: str = "auto", on_slide: Callable[[str, Problem | None], None] | None = None
) -> Path:
    """Rebuild all pages of an output folder, from the stores and tables in it.

    Parameters
    ----------
    folder : Path
        What `wsiseg predict` wrote to.
    reader : str
        Library that opens slides whose pictures are missing.
    on_slide : callable, optional
        Called with each slide's name and the problem with its page, if any.

    Returns
    -------
    Path
        OUT/index.html.

    Raises
    ------
    UsageError
        If there is nothing of `wsiseg predict` in the folder, or a page has the name of a file that wsiseg
        did not make.
    """
    slides = finished_slides(folder)
    if not slides and not any((folder / name).exists() for name in (SUMMARY, RUN)):
        raise UsageError(f"{folder}: no run of `wsiseg predict` or `wsiseg fit` there")
    pages = [outputs.folder / REPORTS / outputs.name / PAGE for outputs in slides]
    refuse_foreign([*pages, folder / INDEX])
    seconds = known_seconds(folder)
    for outputs in slides:
        problem: Problem | None = None
        try:
            write_slide_page(outputs, reader, seconds.get(outputs.name))
        except (WsisegError, OSError) as error:
            problem = error
        if on_slide:
            on_slide(outputs.name, problem)
    return write_index(folder)


def _is_newer(page: Path, made_from: Path) -> bool:
    try:
        return page.stat().st_mtime >= made_from.stat().st_mtime
    except OSError:
        return False
