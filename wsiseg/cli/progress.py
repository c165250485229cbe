"""Progress of a batch: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
import traceback
from dataclasses import asdict

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from wsiseg.cli.log_lines import log_line
from wsiseg.errors import shown
from wsiseg.inference.observer import PredictObserver
from wsiseg.inference.slide_report import SlideReport

# Seconds between two progress lines when the output is not a terminal.
LINE_EVERY_S = 30.0


class BatchProgress(PredictObserver):
    """Shows slides, MP/s, nuclei and the remaining time.

    Parameters
    ----------
    verbosity : int
        -1 prints errors only, 1 logs every step, 2 adds tracebacks.

    Attributes
    ----------
    warnings : list of str
        Problems that did not fail a slide.
    """

    def __init__(self, verbosity: int = 0) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._slides, self._verbosity, self._ended = 0, verbosity, 0
        self._name, self._phase, self._nuclei = "", "", 0
        self._megapixels = self._done = self._resumed = 0.0
        self._started = self._last_line = 0.0
        self._bars: Progress | None = None
        if verbosity >= 0 and self._console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.fields[speed]}"),
                TimeRemainingColumn(),
                console=self._console,
            )
        self.warnings: list[str] = []
        # The first slide that failed of each cause: a batch that fails as one says why once.
        self._first_of: dict[str, str] = {}
        self._slide_bar: TaskID | None = None
        self._all_bar: TaskID | None = None

    def __enter__(self) -> BatchProgress:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, *_rest: object) -> None:
        if self._bars:
            self._bars.stop()

    def run_started(self, slides: int) -> None:
        """Show a bar over all slides, if there are several."""
        self._slides = slides
        if self._bars and slides > 1:
            self._all_bar = self._bars.add_task("all slides", total=slides, speed="")

    def slide_started(self, name: str, megapixels: float, resumed_megapixels: float) -> None:
        """Show a bar for the slide, or a line where there are no bars."""
        self._name, self._phase, self._nuclei = name, "", 0
        self._megapixels, self._done, self._resumed = megapixels, resumed_megapixels, resumed_megapixels
        self._started = self._last_line = time.monotonic()
        self._log("slide_started", name=name, megapixels=megapixels, megapixels_before=resumed_megapixels)
        if self._bars:
            self._slide_bar = self._bars.add_task(name, total=megapixels, speed="")
            self._bars.update(self._slide_bar, completed=resumed_megapixels)
        elif self._verbosity >= 0:
            resumed = f", {_digits(resumed_megapixels)} MP already done" if resumed_megapixels else ""
            self._line(f"{name}: {_digits(megapixels)} MP of tissue{resumed}")

    def advanced(self, megapixels: float, nuclei: int) -> None:
        """Move the slide's bar, or print a line now and then."""
        self._done += megapixels
        self._nuclei += nuclei
        if self._bars and self._slide_bar is not None:
            self._bars.update(self._slide_bar, completed=self._done, speed=self._speed())
        elif self._verbosity >= 0 and time.monotonic() - self._last_line > LINE_EVERY_S:
            self._last_line = time.monotonic()
            done, total = _digits(self._done), _digits(self._megapixels)
            self._line(f"{self._name}: {done} of {total} MP, {self._speed()}")

    def _speed(self) -> str:
        seconds = max(time.monotonic() - self._started, 1e-3)
        speed = (self._done - self._resumed) / seconds
        return f"{_digits(speed)} MP/s, {self._nuclei:,} nuclei {self._phase}".rstrip()

    def phase(self, name: str) -> None:
        """Show what the slide is at."""
        self._phase = f"({name})"
        self._log("phase", name=self._name, phase=name)
        self.advanced(0.0, 0)

    def tile_failed(self, row: int, col: int, cause: str) -> None:
        """Log a block that stays empty."""
        self._log("tile_failed", name=self._name, row=row, col=col, cause=cause)

    def warned(self, text: str) -> None:
        """Keep a warning for the end of the command."""
        self.warnings.append(text)
        self._log("warned", text=text)

    def slide_ended(self, report: SlideReport) -> None:
        """Remove the slide's bar and print what became of it."""
        self._ended += 1
        told = {key: value for key, value in asdict(report).items() if key not in ("ended", "stage_seconds")}
        stages = {f"seconds_{stage}": seconds for stage, seconds in report.stage_seconds.items()}
        self._log("slide_ended", **told, **stages)
        if self._bars and self._slide_bar is not None:
            self._bars.remove_task(self._slide_bar)
            self._slide_bar = None
        if self._bars and self._all_bar is not None:
            self._bars.update(self._all_bar, completed=self._ended)
        if self._verbosity >= 0 or not report.is_whole:
            first = self._first_of.get(report.cause) if report.state == "failed" else None
            text = _sentence(report) if first is None else f"{report.name}: FAILED, as {first}"
            self._line(f"[{self._ended}/{self._slides}] {text}")
        if report.state == "failed":
            self._first_of.setdefault(report.cause, report.name)

    def failed(self, error: BaseException) -> None:
        """Print the traceback, where that is wanted."""
        if self._verbosity >= 2:
            self._line("".join(traceback.format_exception(error)))

    def _log(self, event: str, **values: object) -> None:
        if self._verbosity >= 1:
            self._line(log_line(event, **values))

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False)


def _digits(value: float) -> str:
    """Return a number with enough digits that a small one does not read as zero."""
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def _sentence(report: SlideReport) -> str:
    if report.state == "failed":
        return f"{report.name}: FAILED: {shown(report.cause)}"
    if report.state == "kept":
        return f"{report.name}: kept as it is: {shown(report.cause)}"
    if report.state == "elsewhere":
        return f"{report.name}: {report.cause}"
    found = f"{report.nuclei:,} nuclei"
    if report.state == "skipped":
        return f"{report.name}: already done, {found}" + (f"; {report.cause}" if report.cause else "")
    speed = report.megapixels / report.seconds if report.seconds else 0.0
    area, rate = _digits(report.tissue_mm2), _digits(speed)
    text = f"{report.name}: {found} in {area} mm2, {report.seconds:.1f} s, {rate} MP/s"
    notes = [note for note in (report.cause, report.warnings) if note]
    return "; ".join([text, *notes])
