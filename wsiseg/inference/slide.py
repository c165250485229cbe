"""One slide from first to last: plan, compute, number, write; resumes what an earlier run left."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wsiseg import __version__
from wsiseg.config import PredictConfig
from wsiseg.errors import SlideError, StoreError
from wsiseg.inference.again import nuclei_again
from wsiseg.inference.graph import Cluster
from wsiseg.inference.kernel import Kernel
from wsiseg.inference.numbering import numbered_nuclei, sorted_keys
from wsiseg.inference.outputs import Observer, Outputs, SlideReport
from wsiseg.inference.plan import Plan, label_tasks, network_tasks, object_tasks, pyramid_tasks
from wsiseg.inference.run_log import versions
from wsiseg.inference.stages import NetworkJob, ObjectsJob, StageResult
from wsiseg.inference.threshold import common_threshold, own_threshold
from wsiseg.machine.allocator import give_back
from wsiseg.machine.marks import check_free, is_ours
from wsiseg.network.appearance import StainScale, rgb_table, stain_table
from wsiseg.network.model import Model
from wsiseg.objects.geojson import GeoJSONWriter
from wsiseg.objects.parquet import ParquetWriter
from wsiseg.slides.overview import Overview, read_thumbnail
from wsiseg.slides.sampling import sample_tissue
from wsiseg.slides.sources import SlideSource, absolute
from wsiseg.slides.tissue import Tissue
from wsiseg.slides.tissue_finder import find_tissue, whole_tissue
from wsiseg.slides.view import SlideView
from wsiseg.store.layout import create_store
from wsiseg.store.slide_store import FAILED, FrameInfo, Identity, SlideStore

if TYPE_CHECKING:
    import pyarrow as pa

    from wsiseg.slides.slide import Slide


@dataclass(frozen=True)
class FinishedSlide:
    """What a picture needs of a slide whose nuclei are known; `batches` yields their records in order."""

    slide: Slide
    thumbnail: Overview
    tissue: Tissue
    frame: FrameInfo
    name: str
    nuclei: int
    batches: Callable[[], Iterator[pa.Table]]
    path: Path


Draw = Callable[[FinishedSlide], None]

# The longer side of the picture that a preview is drawn on; half to twice as much will do.
THUMBNAIL_PX = 2000
# Blocks or tiles; without it freed memory lies about, more of it the longer the slide takes.
GIVE_BACK_EVERY = 50


@dataclass(frozen=True)
class SlideRun:
    """The run of one slide: where from, where to, with what."""

    source: SlideSource
    outputs: Outputs
    model: Model
    config: PredictConfig
    cluster: Cluster
    kernel: Kernel
    observer: Observer
    draw: Draw

    def predict(self, slide: Slide) -> SlideReport:
        """Predict the slide, which is open, or skip or resume it.

        Raises
        ------
        SlideError
            If the slide cannot be read at all.
        StoreError
            If outputs of other settings are in the way, or cannot be written.
        """
        started = time.perf_counter()
        view = self._view(slide)
        frame = FrameInfo(view.width, view.height, view.mpp, view.scale_l0)
        identity = self._identity(slide, frame)
        report = SlideReport(self.source.name, absolute(self.source.path), reader=slide.reader, mpp=frame.mpp)
        report.model = self.model.sha256[:12]
        if self._is_finished(identity):
            self._recall(slide, report)
            return report
        report.versions = " ".join(f"{name}={version}" for name, version in versions().items())
        tally = Tally(self.observer)
        with _beside() as beside:
            engine = beside.submit(lambda: self._engine_name)
            store = self._open_store(identity, slide, view, engine, beside, tally)
        report.engine = engine.result()
        pixels = NetworkJob(view, store.tissue, self.kernel, self._table(store.provenance), store)
        objects = ObjectsJob(store, store, store.tissue, self.config.objects, store.threshold)
        plan = self._compute(pixels, objects, slide, tally)
        self._check_done(pixels, objects)
        self._report_on(store, plan, tally, view.warnings, report)
        self._finish(store, report)
        report.seconds = round(time.perf_counter() - started, 2)
        return report

    @property
    def _engine_name(self) -> str:
        # With a scheduler the network is on its workers; this machine may not even have their device.
        return (
            self.kernel.engine.name
            if self.config.scheduler is None
            else f"{self.config.device} of dask workers"
        )

    def _view(self, slide: Slide) -> SlideView:
        view = SlideView(slide, self.config.mpp or self.model.info.mpp, self.source.given, self.source.forced)
        if view.width < 1 or view.height < 1:
            raise SlideError(
                self.source.path, f"is smaller than one pixel at {view.mpp:g} um/px; check --slide-mpp"
            )
        return view

    @property
    def _threshold(self) -> float | None:
        return common_threshold(self.model.info, self.config.objects)

    def _identity(self, slide: Slide, frame: FrameInfo) -> Identity:
        objects = {**asdict(self.config.objects), "threshold": self._threshold}
        tissue = asdict(self.config.tissue)
        if self.config.tissue.mask is not None:
            tissue["mask"] = hashlib.sha256(Path(self.config.tissue.mask).read_bytes()).hexdigest()
        return Identity(self.model.sha256, slide.fingerprint, frame, objects, tissue)

    def _is_finished(self, identity: Identity) -> bool:
        """Whether the slide was done; removes outputs with --overwrite, refuses those of other settings."""
        out = self.outputs
        if self.config.overwrite:
            out.remove()
        out.remove_torso()
        for path in (out.store, out.unfinished):
            if path.exists():
                _refuse_other(SlideStore(path), identity)
        return out.store.exists()

    def _recall(self, slide: Slide, report: SlideReport) -> None:
        """Report a slide that was done before; files of it that are gone are written again from its store."""
        store = SlideStore(self.outputs.store)
        store.remove_work()
        self.outputs.remove_leftovers()
        if self.outputs.missing():
            for file in self.outputs.files:
                check_free(file)
            scratch = self.outputs.scratch
            job = (self.config.objects, store.threshold, self.config.tile_px, self.cluster)
            with nuclei_again(store, scratch, *job, on_result=Tally(self.observer).add) as again:
                nuclei = write_nuclei(again, self.outputs, self.config)
                self._draw(again, slide, read_thumbnail(slide, THUMBNAIL_PX), nuclei)
        report.recall(store.provenance["summary"])
        report.threshold = store.threshold
        report.state = "skipped"

    def _open_store(
        self,
        identity: Identity,
        slide: Slide,
        view: SlideView,
        engine: Future[str],
        beside: ThreadPoolExecutor,
        tally: Tally,
    ) -> SlideStore:
        if self.outputs.unfinished.exists():
            return SlideStore(self.outputs.unfinished)
        slide_mpp = identity.frame.mpp / identity.frame.scale_l0
        with tally.timed("tissue"):
            tissue = find_tissue(slide, self.config.tissue, slide_mpp)
            whole = whole_tissue(slide, self.config.tissue, tissue, slide_mpp)
        provenance: dict[str, Any] = {
            "slide": absolute(self.source.path),
            "name": self.source.name,
            "model": asdict(self.model.info),
            "versions": versions(),
        }
        stains = None
        if self.model.info.input == "stains":
            stains = beside.submit(lambda: asdict(StainScale.of(sample_tissue(view, whole))))

        def later() -> dict[str, Any]:
            measured: dict[str, Any] = {} if stains is None else {"stains": stains.result()}
            measured["engine"] = engine.result()
            if self._threshold is None:
                with tally.timed("threshold"):
                    measured["threshold"] = self._threshold_of(view, whole, self._table(measured))
            return measured

        return create_store(self.outputs.unfinished, identity, tissue, self.config.tile_px, provenance, later)

    def _threshold_of(self, view: SlideView, tissue: Tissue, table: npt.NDArray[np.float32]) -> float:
        # With a scheduler this machine may not have the workers' device.
        kernel = self.kernel if self.config.scheduler is None else replace(self.kernel, device="cpu")
        return own_threshold(view, tissue, kernel, table, self.config.objects, self.model.info.threshold)

    def _table(self, provenance: Mapping[str, Any]) -> npt.NDArray[np.float32]:
        """Return what the network sees of this slide's pixels."""
        if self.model.info.input == "rgb":
            return rgb_table()
        return stain_table(StainScale(**provenance["stains"]))

    def _compute(self, pixels: NetworkJob, objects: ObjectsJob, slide: Slide, tally: Tally) -> Plan:
        store = objects.store
        network, plan = network_tasks(pixels)
        cluster = self.cluster.bound(slide.path, slide.reader, str(store.path), self.config.device)
        self.observer.slide_started(self.source.name, plan.megapixels, plan.megapixels_done)
        with _beside() as beside:
            thumbnail = beside.submit(read_thumbnail, slide, THUMBNAIL_PX)
            tasks = network | object_tasks(objects, network) | pyramid_tasks(objects, "", network)
            cluster.run(tasks, tally.add)
            give_back()
            self.observer.phase("writing polygons")
            store.write_keys(sorted_keys(store))
            files = self._write_files(store, slide, thumbnail, tally, beside)
            self.observer.phase("writing labels")
            labels = label_tasks(objects)
            cluster.run(labels | pyramid_tasks(objects, "labels/nuclei/", labels), tally.add)
            self._wait_for(files, store)
        return plan

    def _write_files(
        self,
        store: SlideStore,
        slide: Slide,
        thumbnail: Future[Overview],
        tally: Tally,
        beside: ThreadPoolExecutor,
    ) -> list[Future[None]]:
        """Begin polygons and preview, unless a run that was stopped later has written these very files."""
        if store.noted("files") == self._how and not self.outputs.missing():
            return []

        def polygons() -> None:
            with tally.timed("polygons"):
                write_nuclei(store, self.outputs, self.config)

        def preview() -> None:
            picture = thumbnail.result()
            with tally.timed("preview"):
                self._draw(store, slide, picture, len(store.keys))

        return [beside.submit(polygons), beside.submit(preview)]

    @property
    def _how(self) -> dict[str, Any]:
        return {"gzip": self.config.gzip, "split": self.config.split}

    def _wait_for(self, files: list[Future[None]], store: SlideStore) -> None:
        for file in files:
            file.result()
        store.note("files", self._how)

    def _draw(self, store: SlideStore, slide: Slide, thumbnail: Overview, nuclei: int) -> None:
        def batches() -> Iterator[pa.Table]:
            return (table for table, _ in numbered_nuclei(store))

        name, path = self.source.name, self.outputs.preview
        self.draw(FinishedSlide(slide, thumbnail, store.tissue, store.frame, name, nuclei, batches, path))

    def _check_done(self, pixels: NetworkJob, objects: ObjectsJob) -> None:
        """Raise if anything that was written is not on the disk: the folder may have been removed."""
        self.observer.phase("finishing")
        there = SlideStore(objects.store.path)
        left = "is gone"
        if there.is_of(objects.store):
            network, _ = network_tasks(replace(pixels, store=there))
            again = replace(objects, store=there, pixels=there)
            undone = len(network | object_tasks(again, network) | label_tasks(again))
            if not undone:
                return
            left = f"has lost {undone} of its tiles"
        raise StoreError(
            f"{there.path}: {left} while the slide was worked on; run the same command again to go on"
        )

    def _report_on(
        self, store: SlideStore, plan: Plan, tally: Tally, warnings: tuple[str, ...], report: SlideReport
    ) -> None:
        frame = store.frame
        area_mm2 = store.tissue.share * frame.width * frame.height * frame.mpp**2 * 1e-6
        report.nuclei = len(store.keys)
        report.threshold = store.threshold
        report.tissue_mm2 = round(area_mm2, 6)
        report.nuclei_per_mm2 = round(report.nuclei / area_mm2, 1) if area_mm2 else 0.0
        report.tiles, report.megapixels = plan.blocks, round(plan.megapixels, 2)
        report.megapixels_before = round(plan.megapixels_done, 2)
        report.stage_seconds = {step: round(value, 2) for step, value in sorted(tally.seconds.items())}
        report.failed_tiles = int((store.status("network").all() == FAILED).sum())
        begun_with = store.provenance.get("engine", report.engine)
        if begun_with != report.engine:
            # The network's rounding differs between engines.
            warnings = (*warnings, f"begun with {begun_with}, ended with {report.engine}")
        if not plan.blocks:
            warnings = (
                *warnings,
                "no tissue found, so the outputs are empty; --no-tissue takes the whole slide",
            )
        report.warnings = "; ".join(warnings)
        if report.failed_tiles:
            report.state = "incomplete"
            report.cause = (
                f"{report.failed_tiles} of {plan.blocks} tiles cannot be read and were left empty, "
                f"the first: {store.failures()[0]['cause']}"
            )

    def _finish(self, store: SlideStore, report: SlideReport) -> None:
        """Put the store in place."""
        store.annotate(state="complete", failures=store.failures(), summary=report.remembered())
        try:
            os.replace(self.outputs.unfinished, self.outputs.store)
        except OSError as error:
            raise StoreError(
                f"{self.outputs.store}: cannot be put in place: {error.strerror or error}"
            ) from error
        SlideStore(self.outputs.store).remove_work()
        self.outputs.remove_leftovers()


@contextmanager
def _beside() -> Iterator[ThreadPoolExecutor]:
    """Give two threads for what is done beside the workers; what they had not begun by the end is dropped."""
    pool = ThreadPoolExecutor(2, thread_name_prefix="wsiseg-beside")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class Tally:
    """Sums of what stages told."""

    def __init__(self, observer: Observer) -> None:
        self.seconds: Counter[str] = Counter()
        self._observer, self._told = observer, 0

    def add(self, result: StageResult) -> None:
        """Add the result of one block or tile; now and then let go of what they had in hand."""
        self._told += 1
        if self._told % GIVE_BACK_EVERY == 0:
            give_back()
        for step, value in result.seconds.items():
            self.seconds[step] += value  # type: ignore[assignment]
        if result.failure is not None:
            self._observer.tile_failed(result.row, result.col, result.failure)
        self._observer.advanced(result.pixels / 1e6, result.nuclei)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the seconds of a block of code."""
        started = time.perf_counter()
        yield
        self.seconds[step] += time.perf_counter() - started  # type: ignore[assignment]


def write_nuclei(store: SlideStore, outputs: Outputs, config: PredictConfig) -> int:
    """Stream the records of a store to GeoJSON and Parquet; return how many nuclei there are."""
    fingerprint = str(store.provenance["identity"]["slide"])
    nuclei = 0
    with (
        GeoJSONWriter(outputs.geojson, fingerprint, gzip=config.gzip, split=config.split) as geojson,
        ParquetWriter(outputs.parquet) as parquet,
    ):
        for table, _ in numbered_nuclei(store):
            geojson.write(table)
            parquet.write(table)
            nuclei += table.num_rows
    for stale in set(outputs.geojson_files()) - set(geojson.paths):
        if is_ours(stale):
            stale.unlink()
    return nuclei


def _refuse_other(store: SlideStore, identity: Identity) -> None:
    differences = identity.differences(store.provenance["identity"])
    before = store.provenance.get("versions", {}).get("wsiseg", __version__)
    if store.provenance["state"] != "complete" and before != __version__:
        differences.append(f"wsiseg: begun by {before}, this is {__version__}")
    if differences:
        raise StoreError(
            f"{store.path}: was made with other settings ({'; '.join(differences)}); "
            "choose another output folder, or replace it with --overwrite"
        )
