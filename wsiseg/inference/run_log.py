"""The record of an output folder: summary.csv, run.json, and a log of slides that were not done."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import platform
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from wsiseg import __version__
from wsiseg.config import PredictConfig
from wsiseg.errors import shown
from wsiseg.inference.slide_report import SlideReport
from wsiseg.machine.locks import BusyError, held_lock
from wsiseg.machine.marks import LOG
from wsiseg.machine.whole import put_whole
from wsiseg.network.model import Model

# A run holds the lock of the summary for milliseconds; a lock of a lost host is free after this.
SUMMARY_WAIT_S = 120.0
SUMMARY, RUN = "summary.csv", "run.json"
VERSIONS_OF = ("torch", "numba", "numpy", "zarr", "dask", "openslide-python", "tiffslide")


class RunLog:
    """summary.csv and run.json, written after every slide, and wsiseg.log, to which lines are added.

    A slide that is kept (finished before, refused or unreadable now) keeps its rows. As long as a run has
    nothing but such slides, run.json stays that of the run before. If files cannot be written the run
    continues; later attempts may succeed.
    """

    def __init__(self, folder: Path, model: Model, config: PredictConfig) -> None:
        self._folder = folder
        self._rows: list[Mapping[str, Any]] = []
        self._before = run_before(folder)
        self._has_results = not self._before
        self._run: dict[str, Any] = {
            "started": _now(),
            "ended": None,
            "model": {"sha256": model.sha256, **dataclasses.asdict(model.info)},
            "config": dataclasses.asdict(config),
            "versions": versions(),
            "platform": platform.platform(),
            "slides": [],
        }
        self._write()

    def add(self, report: SlideReport) -> None:
        """Record the outcome of a slide."""
        report.ended = _now()
        row = dataclasses.asdict(report)
        if report.state == "kept":
            self._run["slides"] += [
                old for old in self._before.get("slides", []) if old.get("path") == report.path
            ]
        else:
            self._has_results = True
            self._run["slides"].append(row)
        if report.state not in ("elsewhere", "kept"):
            as_text = {
                "path": _text(report.path),
                "stage_seconds": json.dumps(report.stage_seconds),
                "regions": json.dumps(report.regions, ensure_ascii=False),
            }
            self._rows.append({**row, **as_text})
        self._write()
        if not report.is_whole:
            self._log(report)

    def _log(self, report: SlideReport) -> None:
        line = f"{report.ended} {report.state} {shown(_text(report.path))}: {shown(report.cause)}\n"
        with suppress(OSError), (self._folder / LOG).open("a", encoding="utf-8") as file:
            file.write(line)

    def close(self) -> str:
        """Record the end of the run; return which file could not be written and why, or nothing."""
        self._run["ended"] = _now()
        return self._write()

    def _write(self) -> str:
        lock = self._folder / ".summary.lock"
        try:
            self._folder.mkdir(exist_ok=True)
            try:
                with held_lock(lock, wait_s=SUMMARY_WAIT_S):
                    self._write_files()
            except BusyError:
                # An occasional missing row is better than no file.
                self._write_files()
        except OSError as error:
            return f"{self._folder / SUMMARY}: cannot be written: {error.strerror or error}"
        return ""

    def _other_rows(self) -> list[Mapping[str, Any]]:
        """Slides of other runs in the folder, earlier ones or beside this one, keep their rows."""
        return rows_before(self._folder)

    def _write_files(self) -> None:
        for name in (RUN, SUMMARY):
            for leftover in self._folder.glob(f".{name}.*.part"):
                leftover.unlink(missing_ok=True)
        if self._has_results:
            with put_whole(self._folder / RUN) as path:
                path.write_text(json.dumps(self._run, indent=1) + "\n", encoding="utf-8")
        with put_whole(self._folder / SUMMARY) as path:
            path.write_bytes(_text_of([*self._other_rows(), *self._rows]))


def rows_before(folder: Path) -> list[Mapping[str, Any]]:
    """Return the rows of summary.csv in a folder, none where it cannot be read."""
    try:
        return _rows_in((folder / SUMMARY).read_bytes())
    except OSError:
        return []


def run_before(folder: Path) -> dict[str, Any]:
    """Return run.json of a folder, empty where it cannot be read."""
    try:
        found = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(path: str) -> str:
    """Return a path as valid Unicode, which file names need not be."""
    return path.encode("utf-8", "backslashreplace").decode()


def merged_summary(*summaries: bytes) -> bytes:
    """Return a summary.csv with the rows of several."""
    return _text_of([row for summary in summaries for row in _rows_in(summary)])


def _rows_in(summary: bytes) -> list[Mapping[str, Any]]:
    try:
        rows = csv.DictReader(io.StringIO(summary.decode("utf-8"), newline=""))
        return [row for row in rows if row.get("name") and row.get("path")]
    except (csv.Error, UnicodeDecodeError):
        return []


def _text_of(rows: list[Mapping[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [f.name for f in dataclasses.fields(SlideReport)], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(_newest(rows))
    return text.getvalue().encode("utf-8", "backslashreplace")


def _newest(rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the newest row of each slide and of each name, oldest first.

    A failed slide has no outputs, so another slide may have taken its name since: both rows stay.
    """
    by_time = sorted(rows, key=lambda row: str(row.get("ended") or ""))
    of_slide = {row["path"]: row for row in by_time}
    of_name = {
        (row["name"], row["path"] if row.get("state") == "failed" else ""): row for row in of_slide.values()
    }
    return sorted(of_name.values(), key=lambda row: str(row.get("ended") or ""))


def versions() -> dict[str, str]:
    """Return the versions of what computes a result."""
    return {"wsiseg": __version__, "python": platform.python_version(), **_library_versions()}


@cache
def _library_versions() -> dict[str, str]:
    """Return the installed versions; finding them takes 20 ms, which small slides feel."""
    found = {}
    for name in VERSIONS_OF:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
