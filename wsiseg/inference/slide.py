"""One slide from first to last: plan, compute, number, write; resumes what an earlier run left."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wsiseg.config import PredictConfig
from wsiseg.errors import SlideError, StoreError
from wsiseg.inference.again import nuclei_again
from wsiseg.inference.graph import Cluster
from wsiseg.inference.kernel import Kernel
from wsiseg.inference.layout import create_store
from wsiseg.inference.numbering import numbered_nuclei
from wsiseg.inference.outputs import Observer, Outputs, SlideReport
from wsiseg.inference.plan import Plan, label_tasks, network_tasks, object_tasks, pyramid_tasks
from wsiseg.inference.stages import NetworkJob, ObjectsJob, StageResult
from wsiseg.inference.store import FAILED, FrameInfo, Identity, SlideStore
from wsiseg.network.appearance import StainScale, rgb_table, stain_table
from wsiseg.network.model import Model
from wsiseg.objects.geojson import GeoJSONWriter
from wsiseg.objects.parquet import ParquetWriter
from wsiseg.slides import open_slide
from wsiseg.slides.sampling import sample_tissue
from wsiseg.slides.sources import SlideSource
from wsiseg.slides.tissue import Tissue, find_tissue
from wsiseg.slides.view import SlideView

if TYPE_CHECKING:
    import pyarrow as pa

    from wsiseg.slides.reader import Slide


@dataclass(frozen=True)
class FinishedSlide:
    """What a picture needs of a slide whose nuclei are known; `batches` yields their records in order."""

    slide: Slide
    tissue: Tissue
    frame: FrameInfo
    name: str
    nuclei: int
    batches: Callable[[], Iterator[pa.Table]]
    path: Path


Draw = Callable[[FinishedSlide], None]


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

    def predict(self) -> SlideReport:
        """Predict the slide, or skip or resume it.

        Raises
        ------
        SlideError
            If the slide cannot be read at all.
        StoreError
            If outputs of other settings are in the way, or cannot be written.
        """
        started = time.perf_counter()
        with open_slide(self.source.path, reader=self.config.reader) as slide:
            view = self._view(slide)
            frame = FrameInfo(view.width, view.height, view.mpp, view.scale_l0)
            identity = self._identity(slide, frame)
            report = SlideReport(self.source.name, self.source.path, reader=slide.reader, mpp=frame.mpp)
            report.model = self.model.sha256[:12]
            if self._is_finished(identity):
                self._recall(slide, report)
                return report
            report.engine = self._engine_name
            store = self._open_store(identity, slide, view)
            pixels = NetworkJob(view, store.tissue, self.kernel, self._table(store), store)
            objects = ObjectsJob(store, store, store.tissue, self.config.objects, self._threshold)
            plan, tally = self._compute(pixels, objects, slide)
            self._finish(store, plan, tally, slide.warnings, report)
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
        view = SlideView(slide, self.config.mpp or self.model.info.mpp, slide_mpp=self.source.mpp)
        if view.width < 1 or view.height < 1:
            raise SlideError(
                self.source.path, f"is smaller than one pixel at {view.mpp:g} um/px; check --slide-mpp"
            )
        return view

    @property
    def _threshold(self) -> float:
        chosen = self.config.objects.threshold
        return self.model.info.threshold if chosen is None else chosen

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
            scratch = self.outputs.scratch
            job = (self.config.objects, self._threshold, self.config.tile_px, self.cluster)
            with nuclei_again(store, scratch, *job, on_result=Tally(self.observer).add) as again:
                again.write_keys(write_nuclei(again, self.outputs, self.config))
                self._draw(again, slide)
        report.recall(store.provenance["summary"])
        report.state = "skipped"

    def _open_store(self, identity: Identity, slide: Slide, view: SlideView) -> SlideStore:
        if self.outputs.unfinished.exists():
            return SlideStore(self.outputs.unfinished)
        tissue = find_tissue(slide, self.config.tissue, identity.frame.mpp / identity.frame.scale_l0)
        provenance: dict[str, Any] = {
            "slide": self.source.path,
            "name": self.source.name,
            "model": asdict(self.model.info),
        }
        if self.model.info.input == "stains":
            provenance["stains"] = asdict(StainScale.of(sample_tissue(view, tissue)))
        return create_store(self.outputs.unfinished, identity, tissue, self.config.tile_px, provenance)

    def _table(self, store: SlideStore) -> npt.NDArray[np.float32]:
        """Return what the network sees of this slide's pixels."""
        if self.model.info.input == "rgb":
            return rgb_table()
        return stain_table(StainScale(**store.provenance["stains"]))

    def _compute(self, pixels: NetworkJob, objects: ObjectsJob, slide: Slide) -> tuple[Plan, Tally]:
        tally, store = Tally(self.observer), objects.store
        network, plan = network_tasks(pixels)
        self.observer.slide_started(self.source.name, plan.megapixels, plan.megapixels_done)
        self.cluster.run(network | object_tasks(objects, network), tally.add)
        self.observer.phase("writing polygons")
        store.write_keys(write_nuclei(store, self.outputs, self.config))
        self._draw(store, slide)
        self.observer.phase("writing labels")
        self.cluster.run(label_tasks(objects), tally.add)
        for level in range(1, store.levels):
            self.cluster.run(pyramid_tasks(objects, level), tally.add)
        return plan, tally

    def _draw(self, store: SlideStore, slide: Slide) -> None:
        def batches() -> Iterator[pa.Table]:
            return (table for table, _ in numbered_nuclei(store))

        path = self.outputs.preview
        self.draw(
            FinishedSlide(slide, store.tissue, store.frame, self.source.name, len(store.keys), batches, path)
        )

    def _finish(
        self, store: SlideStore, plan: Plan, tally: Tally, warnings: tuple[str, ...], report: SlideReport
    ) -> None:
        frame = store.frame
        area_mm2 = store.tissue.share * frame.width * frame.height * frame.mpp**2 * 1e-6
        report.nuclei = len(store.keys)
        report.tissue_mm2 = round(area_mm2, 4)
        report.nuclei_per_mm2 = round(report.nuclei / area_mm2, 1) if area_mm2 else 0.0
        report.tiles, report.megapixels = plan.blocks, round(plan.megapixels, 2)
        report.stage_seconds = {step: round(value, 2) for step, value in sorted(tally.seconds.items())}
        report.failed_tiles = int((np.asarray(store.array("status/network")[:]) == FAILED).sum())
        if not plan.blocks:
            warnings = (
                *warnings,
                "no tissue found, so the outputs are empty; --no-tissue takes the whole slide",
            )
        report.warnings = "; ".join(warnings)
        failures = store.failures()
        if report.failed_tiles:
            report.state = "incomplete"
            report.cause = (
                f"{report.failed_tiles} of {plan.blocks} tiles cannot be read and were left empty, "
                f"the first: {failures[0]['cause']}"
            )
        store.annotate(state="complete", failures=failures, summary=report.remembered())
        try:
            os.replace(self.outputs.unfinished, self.outputs.store)
        except OSError as error:
            raise StoreError(
                f"{self.outputs.store}: cannot be put in place: {error.strerror or error}"
            ) from error
        SlideStore(self.outputs.store).remove_work()
        self.outputs.remove_leftovers()


class Tally:
    """Sums of what stages told."""

    def __init__(self, observer: Observer) -> None:
        self.seconds: Counter[str] = Counter()
        self._observer = observer

    def add(self, result: StageResult) -> None:
        """Add the result of one block or tile."""
        for step, value in result.seconds.items():
            self.seconds[step] += value  # type: ignore[assignment]
        self._observer.advanced(result.pixels / 1e6, result.nuclei)


def write_nuclei(store: SlideStore, outputs: Outputs, config: PredictConfig) -> npt.NDArray[np.int64]:
    """Stream the records of a store to GeoJSON and Parquet; return the sorted keys of all nuclei."""
    keys = [np.zeros(0, np.int64)]
    fingerprint = str(store.provenance["identity"]["slide"])
    with (
        GeoJSONWriter(outputs.geojson, fingerprint, gzip=config.gzip, split=config.split) as geojson,
        ParquetWriter(outputs.parquet) as parquet,
    ):
        for table, table_keys in numbered_nuclei(store):
            geojson.write(table)
            parquet.write(table)
            keys.append(table_keys)
    for stale in set(outputs.geojson_files()) - set(geojson.paths):
        stale.unlink()
    return np.concatenate(keys)


def _refuse_other(store: SlideStore, identity: Identity) -> None:
    differences = identity.differences(store.provenance["identity"])
    if differences:
        raise StoreError(
            f"{store.path}: was made with other settings ({'; '.join(differences)}); "
            "choose another output folder, or replace it with --overwrite"
        )
