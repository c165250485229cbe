"""summary.csv and run.json of an output folder: what became of each slide, and with which settings."""

from __future__ import annotations

import csv
import dataclasses
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from wsiseg.config import PredictConfig
from wsiseg.inference.outputs import SlideReport
from wsiseg.network.model import Model
from wsiseg.whole import put_whole

VERSIONS_OF = ("wsiseg", "torch", "openvino", "numpy", "zarr", "dask", "openslide-python", "tiffslide")


class RunLog:
    """summary.csv and run.json, written again after every slide."""

    def __init__(self, folder: Path, model: Model, config: PredictConfig) -> None:
        self._folder = folder
        self._columns = [f.name for f in dataclasses.fields(SlideReport)]
        self._rows: dict[str, Mapping[str, Any]] = {}
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
        """Note what became of a slide."""
        row = dataclasses.asdict(report)
        self._run["slides"].append(row)
        if report.state != "elsewhere":
            self._rows[report.name] = {**row, "stage_seconds": json.dumps(report.stage_seconds)}
        self._write()

    def close(self) -> None:
        """Note the end of the run."""
        self._run["ended"] = _now()
        self._write()

    def _other_rows(self) -> dict[str, Mapping[str, Any]]:
        """Slides of other runs in the folder, earlier ones or beside this one, keep their rows."""
        try:
            with (self._folder / "summary.csv").open(newline="", encoding="utf-8") as file:
                return {row["name"]: row for row in csv.DictReader(file) if row.get("name")}
        except (OSError, csv.Error, UnicodeDecodeError):
            return {}

    def _write(self) -> None:
        with put_whole(self._folder / "run.json") as path:
            path.write_text(json.dumps(self._run, indent=1) + "\n", encoding="utf-8")
        rows = {**self._other_rows(), **self._rows}
        with (
            put_whole(self._folder / "summary.csv") as path,
            # Names of files need not be valid text.
            path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
        ):
            writer = csv.DictWriter(file, self._columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows.values())


def versions() -> dict[str, str]:
    """Return the versions of what computes a result."""
    found = {"python": platform.python_version()}
    for name in VERSIONS_OF:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
