"""One slide from first to last: open or create its store, compute, write polygons, draw, put it in place.

Work that an earlier run has finished is not repeated.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wsiseg import __version__
from wsiseg.config import PredictConfig
from wsiseg.errors import StoreError
from wsiseg.inference.compute import Tally, compute
from wsiseg.inference.export import find_nuclei_again
from wsiseg.inference.job import NetworkInput, SlideJob
from wsiseg.inference.nuclei_files import write_nuclei
from wsiseg.inference.pages import Pages
from wsiseg.inference.pipeline import FINDING, PAINTING
from wsiseg.inference.planner import Extent, extent_of, plan
from wsiseg.inference.prepare import identity_of, network_table, prepare_store, view_of
from wsiseg.inference.regions import computed_mm2, count_regions
from wsiseg.inference.run import Run
from wsiseg.inference.run_log import versions
from wsiseg.inference.slide_report import SlideReport
from wsiseg.machine.allocator import give_back
from wsiseg.machine.locks import Held
from wsiseg.machine.marks import first_line, geojson_head
from wsiseg.machine.replacing import check_free
from wsiseg.slides.looks import dab_remark
from wsiseg.slides.overview import Overview, read_thumbnail
from wsiseg.slides.sources import SlideSource, absolute
from wsiseg.store.identity import Identity
from wsiseg.store.numbering import sorted_keys
from wsiseg.store.outputs import Outputs
from wsiseg.store.slide_store import SlideStore
from wsiseg.store.states import Progress, Stage, State

if TYPE_CHECKING:
    from wsiseg.slides.slide import Slide

# The longer side of the picture for the preview; half to twice as much is fine.
THUMBNAIL_PX = 2000


def predict_slide(run: Run, source: SlideSource, slide: Slide, outputs: Outputs, claim: Held) -> SlideReport:
    """Predict an open slide; resume it if a run was stopped, recall it if it is finished.

    Parameters
    ----------
    run : Run
        What all slides of the run share.
    source : SlideSource
        The slide as the user named it.
    slide : Slide
        The open slide.
    outputs : Outputs
        Where its files go.
    claim : Held
        What keeps other runs away from it.

    Raises
    ------
    SlideError
        If the slide cannot be read at all.
    StoreError
        If outputs made with other settings are in the way, or files cannot be written.
    LostError
        If another run has taken over the slide.
    """
    started = time.perf_counter()
    run = run.of(source)
    view = view_of(slide, source, run)
    identity = identity_of(slide, view, run)
    report = SlideReport(outputs.name, absolute(source.path), reader=slide.reader, mpp=view.mpp)
    report.model = run.model.sha256[:12]
    if _is_finished(outputs, identity, run.config.overwrite):
        _recall(run, outputs, slide, claim, report)
        return report
    report.versions = " ".join(f"{name}={version}" for name, version in versions().items())
    tally = Tally(run.observer)
    with beside() as threads:
        engine = threads.submit(run.engine_name)
        if not outputs.unfinished.exists():
            prepare_store(run, source, view, outputs, identity, engine, threads, tally)
        report.engine = engine.result()
    store = SlideStore(outputs.unfinished)
    network = NetworkInput(view, run.kernel, network_table(run.model, store.provenance))
    job = SlideJob(store, run.config.objects, store.threshold, network)
    extent = extent_of(store)
    run.observer.slide_started(outputs.name, extent.megapixels, extent.megapixels_done)
    _compute(run, job, slide, outputs, claim, tally)
    claim.check()
    run.observer.phase("finishing")
    _check_complete(job)
    _describe(report, store, extent, tally, view.warnings)
    _put_in_place(store, outputs, report)
    report.seconds = round(time.perf_counter() - started, 2)
    return report


def _is_finished(outputs: Outputs, identity: Identity, overwrite: bool) -> bool:
    """Whether the slide is finished; delete outputs to overwrite, refuse those made with other settings."""
    if overwrite:
        outputs.remove()
    outputs.remove_torso()
    for path in (outputs.store, outputs.unfinished):
        if path.exists():
            _refuse_other(SlideStore(path), identity)
    if not outputs.store.exists():
        return False
    if SlideStore(outputs.store).has_arrays or not ("store" in outputs.only or outputs.missing()):
        return True
    # What is asked for now is made from arrays that were not kept.
    outputs.remove()
    return False


def _refuse_other(store: SlideStore, identity: Identity) -> None:
    differences = identity.differences(store.provenance["identity"])
    before = store.provenance.get("versions", {}).get("wsiseg", __version__)
    if not store.is_complete and before != __version__:
        differences.append(f"wsiseg: started with {before}, this is {__version__}")
    if differences:
        raise StoreError(
            f"{store.path}: was made with other settings ({'; '.join(differences)}); "
            "choose another output folder, or replace it with --overwrite"
        )


def _recall(run: Run, outputs: Outputs, slide: Slide, claim: Held, report: SlideReport) -> None:
    """Report a finished slide; restore missing files from its store."""
    store = SlideStore(outputs.store)
    store.remove_work()
    outputs.remove_leftovers()
    if not store.has_arrays:
        store.keep_record()
    elif outputs.missing() or _has_other_origin(outputs, store, run.config.origin):
        for file in outputs.files:
            check_free(file)
        config = replace(run.config, objects=replace(run.config.objects, threshold=store.threshold))
        with find_nuclei_again(store, outputs.scratch, config, run.cluster, claim, run.observer) as found:
            write_nuclei(found, outputs, config)
            if "preview" in outputs.only:
                run.pages.draw(found, read_thumbnail(slide, THUMBNAIL_PX), outputs.preview)
    report.recall(store.provenance["summary"])
    report.threshold = store.threshold
    report.state = "skipped"


def _has_other_origin(outputs: Outputs, store: SlideStore, origin: str) -> bool:
    """Whether the GeoJSON that is there counts from another corner than is asked for."""
    if store.scan_l0 is None or store.scan_l0[:2] == (0, 0) or "geojson" not in outputs.only:
        return False
    heads = {first_line(file) for file in outputs.geojson_files()}
    return heads != {geojson_head(store.scan_l0, origin)}


def _compute(run: Run, job: SlideJob, slide: Slide, outputs: Outputs, claim: Held, tally: Tally) -> None:
    """Find and number the nuclei, then paint their labels while polygons and preview are written."""
    store = job.store
    cluster = run.cluster.bound(slide.path, slide.reader, str(store.path), run.config.device)
    with beside() as threads:
        is_drawn = not {"preview", "report"}.isdisjoint(outputs.only)
        thumbnail = threads.submit(read_thumbnail, slide, THUMBNAIL_PX) if is_drawn else None
        compute(job, plan(job, FINDING), cluster, claim, tally)
        give_back()
        claim.check()
        run.observer.phase("writing polygons")
        store.write_keys(sorted_keys(store))
        files = []
        settings = {"gzip": run.config.gzip, "split": run.config.split, "origin": run.config.origin}
        # An earlier run that was stopped later may have written these files.
        if store.noted("files") != settings or outputs.missing():
            files.append(threads.submit(_write_polygons, store, outputs, run.config, tally))
            if thumbnail is not None:
                files.append(threads.submit(_draw, run.pages, store, thumbnail, outputs.preview, tally))
        claim.check()
        run.observer.phase("writing labels")
        compute(job, plan(job, PAINTING), cluster, claim, tally)
        for file in files:
            file.result()
        store.note("files", settings)


def _write_polygons(store: SlideStore, outputs: Outputs, config: PredictConfig, tally: Tally) -> None:
    with tally.timed("polygons"):
        write_nuclei(store, outputs, config)


def _draw(pages: Pages, store: SlideStore, thumbnail: Future[Overview], path: Path, tally: Tally) -> None:
    picture = thumbnail.result()
    with tally.timed("preview"):
        pages.draw(store, picture, path)


def _check_complete(job: SlideJob) -> None:
    """Raise if anything that was written is missing: someone may have removed the folder."""
    there = SlideStore(job.store.path)
    left = "is gone"
    if there.is_same_as(job.store):
        undone = len(plan(replace(job, store=there)))
        if not undone:
            return
        left = f"has lost {undone} of its tiles"
    raise StoreError(f"{there.path}: {left} while the slide was processed; repeat the command to resume")


def _describe(
    report: SlideReport, store: SlideStore, extent: Extent, tally: Tally, warnings: tuple[str, ...]
) -> None:
    """Fill in the report of a slide that is computed."""
    area_mm2 = computed_mm2(store)
    report.regions = count_regions(store)
    report.nuclei = len(store.keys)
    report.scan_x_l0, report.scan_y_l0 = (store.scan_l0 or (0, 0))[:2]
    report.threshold = store.threshold
    report.tissue_mm2 = round(area_mm2, 6)
    report.nuclei_per_mm2 = round(report.nuclei / area_mm2, 1) if area_mm2 else 0.0
    report.tiles, report.megapixels = extent.blocks, round(extent.megapixels, 2)
    report.megapixels_before = round(extent.megapixels_done, 2)
    report.stage_seconds = {step: round(value, 2) for step, value in sorted(tally.seconds.items())}
    report.failed_tiles = int((store.states(Stage.NETWORK).all() == State.FAILED).sum())
    begun_with = store.provenance.get("engine", report.engine)
    if begun_with != report.engine:
        # The network's rounding differs between engines.
        warnings = (*warnings, f"started with {begun_with}, finished with {report.engine}")
    # Stores of earlier versions have no such share.
    stained = dab_remark(store.provenance.get("brown_share", 0.0))
    warnings = (*warnings, *store.tissue.remarks, *stained)
    if not extent.blocks:
        warnings = (
            *warnings,
            "no tissue found, so the outputs are empty; --no-tissue processes the whole slide",
        )
    report.warnings = "; ".join(warnings)
    if report.failed_tiles:
        report.state = "incomplete"
        report.cause = (
            f"{report.failed_tiles} of {extent.blocks} tiles cannot be read and were left empty, "
            f"the first: {store.failures()[0]['cause']}"
        )


def _put_in_place(store: SlideStore, outputs: Outputs, report: SlideReport) -> None:
    store.annotate(state=Progress.COMPLETE, failures=store.failures(), summary=report.remembered())
    try:
        os.replace(outputs.unfinished, outputs.store)
    except OSError as error:
        raise StoreError(f"{outputs.store}: cannot be put in place: {error.strerror or error}") from error
    finished = SlideStore(outputs.store)
    finished.remove_work()
    outputs.remove_leftovers()
    if "store" not in outputs.only:
        finished.keep_record()


@contextmanager
def beside() -> Iterator[ThreadPoolExecutor]:
    """Give two threads for work beside the workers; cancel what they have not started when the block ends."""
    pool = ThreadPoolExecutor(2, thread_name_prefix="wsiseg-beside")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
