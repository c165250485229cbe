"""Prepares a slide's store before any block is computed: identity, tissue, stains and threshold."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wsiseg.errors import SlideError
from wsiseg.inference.compute import Tally
from wsiseg.inference.run import Run
from wsiseg.inference.run_log import versions
from wsiseg.inference.threshold import own_threshold
from wsiseg.network.appearance import StainScale, rgb_table, stain_table
from wsiseg.network.model import Model
from wsiseg.slides.looks import brown_share
from wsiseg.slides.regions import read_regions
from wsiseg.slides.sampling import sample_tissue
from wsiseg.slides.sources import SlideSource, absolute
from wsiseg.slides.tissue import Tissue
from wsiseg.slides.tissue_finder import corner_l0, find_tissue, whole_tissue
from wsiseg.slides.view import SlideView
from wsiseg.store.identity import FrameInfo, Identity
from wsiseg.store.layout import new_store
from wsiseg.store.outputs import Outputs

if TYPE_CHECKING:
    from wsiseg.slides.slide import Slide


def view_of(slide: Slide, source: SlideSource, run: Run) -> SlideView:
    """Return the slide at the resolution at which the run's network works.

    Raises
    ------
    SlideError
        If it is smaller than one pixel at that resolution, or its own resolution is unknown.
    """
    view = SlideView(slide, run.config.mpp or run.model.info.mpp, source.given, source.forced)
    if view.width < 1 or view.height < 1:
        raise SlideError(source.path, f"is smaller than one pixel at {view.mpp:g} um/px; check --slide-mpp")
    return view


def identity_of(slide: Slide, view: SlideView, run: Run) -> Identity:
    """Return the identity of the slide's store."""
    frame = FrameInfo(view.width, view.height, view.mpp, view.scale_l0)
    objects = {**asdict(run.config.objects), "threshold": run.threshold}
    tissue = asdict(run.config.tissue)
    # It decides whether a slide is computed, not how.
    del tissue["accept_odd"]
    if run.config.tissue.mask is not None:
        tissue["mask"] = hashlib.sha256(Path(run.config.tissue.mask).read_bytes()).hexdigest()
    if run.config.tissue.regions is not None:
        tissue["regions"] = hashlib.sha256(Path(run.config.tissue.regions).read_bytes()).hexdigest()
    is_drawn = run.config.tissue.mask is not None or run.config.tissue.regions is not None
    if is_drawn and corner_l0(slide, run.config.origin) != (0, 0):
        tissue["mask_origin"] = run.config.origin
    return Identity(run.model.sha256, slide.fingerprint, frame, objects, tissue)


def prepare_store(
    run: Run,
    source: SlideSource,
    view: SlideView,
    outputs: Outputs,
    identity: Identity,
    engine: Future[str],
    threads: ThreadPoolExecutor,
    tally: Tally,
) -> None:
    """Find the tissue, measure stains and threshold on it, and create the store."""
    slide_mpp = view.mpp / view.scale_l0
    with tally.timed("tissue"):
        tissue = find_tissue(view.slide, run.config.tissue, slide_mpp, run.config.origin)
        whole = whole_tissue(view.slide, run.config.tissue, tissue, slide_mpp)
    provenance: dict[str, Any] = {
        "slide": absolute(source.path),
        "name": outputs.name,
        "model": asdict(run.model.info),
        "versions": versions(),
        "scan_l0": view.slide.facts.bounds,
    }
    needs_stains = run.model.info.input == "stains"
    stains = threads.submit(sample_tissue, view, whole) if needs_stains else None
    drawn = run.config.tissue.regions
    regions = "" if drawn is None else read_regions(drawn, corner_l0(view.slide, run.config.origin)).text
    with new_store(outputs.unfinished, identity, tissue, run.config.tile_px, provenance, regions):
        if stains is not None:
            provenance["stains"] = asdict(StainScale.of(stains.result()))
            provenance["brown_share"] = brown_share(stains.result())
        provenance["engine"] = engine.result()
        if run.threshold is None:
            with tally.timed("threshold"):
                provenance["threshold"] = _own_threshold(run, view, whole, provenance)


def _own_threshold(run: Run, view: SlideView, tissue: Tissue, provenance: Mapping[str, Any]) -> float:
    # With a scheduler, this machine may not have the workers' device.
    kernel = run.kernel if run.config.scheduler is None else replace(run.kernel, device="cpu")
    table, usual = network_table(run.model, provenance), run.model.info.threshold
    return own_threshold(view, tissue, kernel, table, run.config.objects, usual)


def network_table(model: Model, provenance: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """Return what the network sees of a slide's pixels."""
    if model.info.input == "rgb":
        return rgb_table()
    return stain_table(StainScale(**provenance["stains"]))
