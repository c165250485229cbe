"""Many slides in one run: one bad slide never stops the others, and the outcome of each is recorded."""

from __future__ import annotations

import errno
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wsiseg.config import PredictConfig
from wsiseg.errors import DamageError, SlideError, StoreError, UsageError, WsisegError
from wsiseg.inference.clusters import open_cluster
from wsiseg.inference.harmless import inputs_of, refuse_harm, replaced_by
from wsiseg.inference.kernel import Kernel
from wsiseg.inference.nuclei_files import gather_tables
from wsiseg.inference.observer import PredictObserver
from wsiseg.inference.pages import Pages
from wsiseg.inference.place import Place
from wsiseg.inference.run import Run
from wsiseg.inference.run_log import RunLog
from wsiseg.inference.settings import settled
from wsiseg.inference.slide import predict_slide
from wsiseg.inference.slide_report import SlideReport
from wsiseg.machine.cores import available_cores
from wsiseg.machine.locks import BusyError, held_lock
from wsiseg.machine.replacing import check_free
from wsiseg.network.device import resolve_device
from wsiseg.network.model import Model
from wsiseg.slides import open_slide
from wsiseg.slides.sources import SlideSource, absolute
from wsiseg.store.blocks import MIN_TILE_PX
from wsiseg.store.damage import damage_named
from wsiseg.store.naming import outputs_of
from wsiseg.store.outputs import Outputs
from wsiseg.store.slide_store import SlideStore

if TYPE_CHECKING:
    from wsiseg.slides.slide import Slide


def predict_slides(
    sources: Sequence[SlideSource],
    place: Place,
    model: Model,
    config: PredictConfig,
    pages: Pages,
    observer: PredictObserver | None = None,
) -> list[SlideReport]:
    """Predict slides one after another, all workers on one slide.

    Parameters
    ----------
    sources : sequence of SlideSource
        The slides, in order.
    place : Place
        Where outputs go; the folder is made if absent.
    model : Model
        The model.
    config : PredictConfig
        How `predict` runs.
    pages : Pages
        Draws previews and pages.
    observer : PredictObserver, optional
        Is informed of progress.

    Returns
    -------
    list of SlideReport
        One per slide, in order; failures are recorded in it, not raised.

    Raises
    ------
    UsageError
        If no slide can meet the settings, or the run would replace files that wsiseg did not write.
    StoreError
        If the output folder cannot be written.
    """
    observer = observer or PredictObserver()
    folder = place.folder
    if config.scheduler is not None:
        # Workers run in folders of their own.
        folder = folder.absolute()
        sources = [replace(source, path=absolute(source.path)) for source in sources]
    workers = available_cores() if config.workers is None else config.workers
    _check(config, workers)
    config = settled(config, model.info)
    refuse_harm(sources, place, config)
    _make_folder(folder)
    inputs = inputs_of(sources, folder, config)
    device = resolve_device(config.device) if config.scheduler is None else config.device
    log = RunLog(folder, model, config)
    reports: dict[int, SlideReport] = {}
    observer.run_started(len(sources))
    with open_cluster(config.scheduler, workers) as cluster:
        kernel = Kernel.of(model, device, cluster.threads if config.workers is None else workers)
        run = Run(model, config, cluster, kernel, observer, pages)
        todo = deque(enumerate(sources))
        seen: dict[int, SlideReport] = {}
        while todo:
            number, source = todo.popleft()
            if number in seen:
                # Another run had it; by now that run may have finished it or died.
                place.wait_for_sign(source, seen[number].name)
            report = _report_of(source, run, folder, place, inputs)
            if report.state == "elsewhere" and number not in seen:
                seen[number] = report
                todo.append((number, source))
                continue
            reports[number] = report
            log.add(report)
            observer.slide_ended(report)
            pages.add(report)
    trouble = [log.close()]
    if config.one_table:
        trouble.append(gather_tables(folder, [report.name for report in reports.values() if report.is_there]))
    for text in filter(None, trouble):
        observer.warned(text)
    return [reports[number] for number in range(len(sources))]


def _check(config: PredictConfig, workers: int) -> None:
    if workers < 1:
        raise UsageError(f"--workers {workers}: give at least 1")
    if config.tile_px < MIN_TILE_PX:
        raise UsageError(f"--tile-size {config.tile_px}: give at least {MIN_TILE_PX} pixels")
    mask = config.tissue.mask
    if mask is not None and not Path(mask).is_file():
        raise UsageError(f"--tissue-mask {mask}: no such file")
    regions = config.tissue.regions
    if mask is not None and regions is not None:
        raise UsageError("--tissue-mask and --regions both say what is computed; give one of them")
    if regions is not None and not Path(regions).exists():
        raise UsageError(f"--regions {regions}: no such file or folder")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StoreError(
            f"{folder}: the output folder cannot be written: {error.strerror or error}"
        ) from error


def _report_of(
    source: SlideSource, run: Run, folder: Path, place: Place, inputs: Sequence[str]
) -> SlideReport:
    """Predict a slide; an error that ends it goes into the report and is not raised."""
    started = time.perf_counter()
    problem: BaseException
    try:
        with open_slide(source.path, reader=run.config.reader) as slide, place.turn(source):
            return _claim_and_predict(source, slide, run, folder, inputs)
    except BusyError as error:
        if error.work == source.path:
            return _elsewhere(source.name, source, error)
        cause, problem = str(error), error
    except WsisegError as error:
        cause, problem = error.cause if isinstance(error, SlideError) else str(error), error
    except MemoryError as error:
        cause, problem = "out of memory; give fewer --workers or a smaller --tile-size", error
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = f": no space left for {folder}; free some and repeat the command to resume"
        cause, problem = f"{error.strerror or error}{where}", error
    except Exception as error:
        # A bug in wsiseg or in a library: this slide fails, the batch continues.
        cause, problem = f"{type(error).__name__}: {error}", error
    run.observer.failed(problem)
    outputs = outputs_of(source, None, folder, run.config)
    is_kept = _is_finished(outputs, source) and not isinstance(problem, DamageError)
    report = SlideReport(outputs.name, absolute(source.path), "kept" if is_kept else "failed", cause)
    report.seconds = round(time.perf_counter() - started, 2)
    return report


def _claim_and_predict(
    source: SlideSource, slide: Slide, run: Run, folder: Path, inputs: Sequence[str]
) -> SlideReport:
    """Predict an open slide under a name that belongs to it and that no other run is working on."""
    folder.mkdir(exist_ok=True)
    fingerprint = slide.fingerprint
    taken: frozenset[str] = frozenset()
    while True:
        outputs = outputs_of(source, fingerprint, folder, run.config, taken)
        try:
            with held_lock(outputs.lock, work=fingerprint) as claim:
                if outputs_of(source, fingerprint, folder, run.config, taken) != outputs:
                    # Another run has just finished a slide of this name.
                    continue
                for file in replaced_by(outputs, run.config):
                    check_free(file, inputs)
                with damage_named(outputs.store, outputs.unfinished):
                    return predict_slide(run, source, slide, outputs, claim)
        except BusyError as error:
            if error.work == fingerprint:
                return _elsewhere(outputs.name, source, error)
            if outputs.name in taken:
                raise
            taken |= {outputs.name}


def _is_finished(outputs: Outputs, source: SlideSource) -> bool:
    """Whether this slide has a finished store."""
    try:
        store = SlideStore(outputs.store)
        return store.is_complete and bool(store.provenance["slide"] == absolute(source.path))
    except (StoreError, KeyError):
        return False


def _elsewhere(name: str, source: SlideSource, error: BusyError) -> SlideReport:
    return SlideReport(
        name, absolute(source.path), "elsewhere", f"{error}; skipped here, the other run will finish it"
    )
