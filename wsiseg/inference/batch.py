"""Many slides in one run: one bad slide never stops the others, and what became of each is written down."""

from __future__ import annotations

import csv
import dataclasses
import errno
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from wsiseg.config import PAPER_CLEAN_UP_UM, PredictConfig
from wsiseg.errors import SlideError, StoreError, UsageError, WsisegError
from wsiseg.inference.engine import resolve_device
from wsiseg.inference.graph import available_cores, open_cluster
from wsiseg.inference.kernel import Kernel
from wsiseg.inference.outputs import Observer, Outputs, SlideReport
from wsiseg.inference.slide import Draw, SlideRun
from wsiseg.inference.store import MIN_TILE_PX
from wsiseg.network.model import Model
from wsiseg.slides.sources import SlideSource
from wsiseg.whole import put_whole

VERSIONS_OF = ("wsiseg", "torch", "openvino", "numpy", "zarr", "dask", "openslide-python", "tiffslide")


def predict_slides(
    sources: Sequence[SlideSource],
    output: str | os.PathLike[str],
    model: Model,
    config: PredictConfig,
    draw: Draw,
    observer: Observer | None = None,
) -> list[SlideReport]:
    """Predict slides one after another, all workers on one slide.

    Parameters
    ----------
    sources : sequence of SlideSource
    output : path-like
        Folder of the outputs; made if absent.
    model : Model
    config : PredictConfig
    draw : callable
        Draws the preview of a finished slide.
    observer : Observer, optional

    Returns
    -------
    list of SlideReport
        One a slide, in order; failures are in it, not raised.

    Raises
    ------
    UsageError
        If the settings cannot be met for any slide.
    StoreError
        If the output folder cannot be written.
    """
    watcher = observer or Observer()
    folder = Path(output)
    workers = available_cores() if config.workers is None else config.workers
    _check(config, workers)
    config = _with_clean_up(config, model)
    _make_folder(folder)
    kernel = Kernel.of(
        model, resolve_device(config.device) if config.scheduler is None else config.device, workers
    )
    reports: list[SlideReport] = []
    log = RunLog(folder, model, config)
    with open_cluster(config.scheduler, workers) as cluster:
        for source in sources:
            outputs = Outputs(folder, source.name, config.gzip)
            run = SlideRun(source, outputs, model, config, cluster, kernel, watcher, draw)
            report = _attempt(run)
            reports.append(report)
            log.add(report)
            watcher.slide_ended(report)
    log.close()
    return reports


def _with_clean_up(config: PredictConfig, model: Model) -> PredictConfig:
    """Return the settings with the paper's clean-up for a model of its preset, if none was asked for."""
    objects = config.objects
    if model.info.preset != "paper" or objects.opening_um or objects.closing_um:
        return config
    cleaned = dataclasses.replace(objects, opening_um=PAPER_CLEAN_UP_UM, closing_um=PAPER_CLEAN_UP_UM)
    return dataclasses.replace(config, objects=cleaned)


def _check(config: PredictConfig, workers: int) -> None:
    if workers < 1:
        raise UsageError(f"--workers {workers}: give at least 1")
    if config.tile_px < MIN_TILE_PX:
        raise UsageError(f"--tile-size {config.tile_px}: give at least {MIN_TILE_PX} pixels")
    mask = config.tissue.mask
    if mask is not None and not Path(mask).is_file():
        raise UsageError(f"--tissue-mask {mask}: no such file")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".wsiseg-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StoreError(
            f"{folder}: the output folder cannot be written: {error.strerror or error}"
        ) from error


def _attempt(run: SlideRun) -> SlideReport:
    started = time.perf_counter()
    problem: BaseException
    try:
        return run.predict()
    except WsisegError as error:
        cause, problem = str(error), error
    except MemoryError as error:
        cause, problem = "out of memory; give fewer --workers or a smaller --tile-size", error
    except OSError as error:
        full = " (the disk is full)" if error.errno == errno.ENOSPC else ""
        where = f" {error.filename}" if error.filename else ""
        cause, problem = f"{error.strerror or error}{full}{where}", error
    except Exception as error:
        # A defect of ours or of a library: this slide is lost, the batch is not.
        cause, problem = f"{type(error).__name__}: {error}", error
    report = SlideReport(
        run.source.name, run.source.path, state="failed", cause=_without_path(cause, problem)
    )
    report.seconds = round(time.perf_counter() - started, 2)
    run.observer.failed(problem)
    return report


def _without_path(cause: str, error: BaseException) -> str:
    return error.cause if isinstance(error, SlideError) else cause


class RunLog:
    """summary.csv and run.json, written again after every slide."""

    def __init__(self, folder: Path, model: Model, config: PredictConfig) -> None:
        self._folder = folder
        self._columns = [f.name for f in dataclasses.fields(SlideReport)]
        self._rows = self._earlier_rows()
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
        self._rows[report.name] = {**row, "stage_seconds": json.dumps(report.stage_seconds)}
        self._write()

    def close(self) -> None:
        """Note the end of the run."""
        self._run["ended"] = _now()
        self._write()

    def _earlier_rows(self) -> dict[str, Mapping[str, Any]]:
        """Slides that other runs left in the folder keep their rows."""
        try:
            with (self._folder / "summary.csv").open(newline="", encoding="utf-8") as file:
                return {row["name"]: row for row in csv.DictReader(file) if row.get("name")}
        except (OSError, csv.Error, UnicodeDecodeError):
            return {}

    def _write(self) -> None:
        with put_whole(self._folder / "run.json") as path:
            path.write_text(json.dumps(self._run, indent=1) + "\n", encoding="utf-8")
        with (
            put_whole(self._folder / "summary.csv") as path,
            # Names of files need not be valid text.
            path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
        ):
            writer = csv.DictWriter(file, self._columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self._rows.values())


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
