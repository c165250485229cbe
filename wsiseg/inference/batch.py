"""Many slides in one run: one bad slide never stops the others, and what became of each is written down."""

from __future__ import annotations

import dataclasses
import errno
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from wsiseg.config import PAPER_CLEAN_UP_UM, PredictConfig
from wsiseg.cores import available_cores
from wsiseg.errors import SlideError, StoreError, UsageError, WsisegError
from wsiseg.inference.engine import resolve_device
from wsiseg.inference.graph import open_cluster
from wsiseg.inference.kernel import Kernel
from wsiseg.inference.lock import SlideBusyError, slide_lock
from wsiseg.inference.outputs import Observer, Outputs, SlideReport
from wsiseg.inference.run_log import RunLog
from wsiseg.inference.slide import Draw, SlideRun
from wsiseg.inference.store import MIN_TILE_PX
from wsiseg.network.model import Model
from wsiseg.slides.sources import SlideSource


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
    reports: dict[str, SlideReport] = {}
    log = RunLog(folder, model, config)

    def conclude(report: SlideReport) -> None:
        reports[report.name] = report
        log.add(report)
        watcher.slide_ended(report)

    with open_cluster(config.scheduler, workers) as cluster:
        elsewhere = []
        for source in sources:
            outputs = Outputs(folder, source.name, config.gzip)
            run = SlideRun(source, outputs, model, config, cluster, kernel, watcher, draw)
            report = _attempt(run)
            if report.state == "elsewhere":
                elsewhere.append(run)
            else:
                conclude(report)
        # Another run had these; by now it may be done with them, or dead.
        for run in elsewhere:
            conclude(_attempt(run))
    log.close()
    return [reports[source.name] for source in sources]


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
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StoreError(
            f"{folder}: the output folder cannot be written: {error.strerror or error}"
        ) from error


def _attempt(run: SlideRun) -> SlideReport:
    started = time.perf_counter()
    problem: BaseException
    try:
        with slide_lock(run.outputs.lock):
            return run.predict()
    except SlideBusyError as error:
        return SlideReport(run.source.name, run.source.path, state="elsewhere", cause=str(error))
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
