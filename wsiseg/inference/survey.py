"""Describes a slide, and what `predict` would do with it, without running the network on it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from wsiseg.config import TissueConfig
from wsiseg.errors import WsisegError
from wsiseg.network.appearance import rgb_table
from wsiseg.network.architecture import RADIUS_PX
from wsiseg.network.engine import Engine
from wsiseg.slides.reader import open_slide
from wsiseg.slides.sources import SlideSource
from wsiseg.slides.tissue_finder import find_tissue
from wsiseg.slides.view import SlideView
from wsiseg.store.blocks import SHARD_PX, computed_boxes
from wsiseg.tiles import Grid

# Objects, polygons and writing take about this share on top of reading and the network.
OTHER_SHARE = 0.25


@dataclass(frozen=True)
class SlideSurvey:
    """One slide of `wsiseg info`; None where something is unknown.

    Parameters
    ----------
    name, path : str
        Name of the slide's outputs, and where it is.
    error : str or None
        Why the slide cannot be opened, or cannot be predicted as it is.
    width_l0, height_l0 : int
        Level-0 pixels.
    levels : list of (width, height, downsample)
        From the finest on.
    mpp : float or None
        Micrometres per level-0 pixel, from the slide or the caller.
    mpp_from : str or None
        Where that comes from.
    statements : tuple of str
        Every statement about it.
    bounds : (int, int, int, int) or None
        x, y, width and height of the scanned part in level-0 pixels, if the slide records it.
    tissue_share : float
        Share of the slide that is tissue.
    megapixels : float
        Pixels the network would compute, at its resolution.
    seconds : float
        Estimated duration of predict on this machine.
    """

    name: str
    path: str
    error: str | None = None
    reader: str | None = None
    width_l0: int | None = None
    height_l0: int | None = None
    levels: list[tuple[int, int, float]] | None = None
    mpp: float | None = None
    mpp_from: str | None = None
    statements: tuple[str, ...] = ()
    bounds: tuple[int, int, int, int] | None = None
    tissue_share: float | None = None
    tissue_mm2: float | None = None
    network_mpp: float | None = None
    megapixels: float | None = None
    seconds: float | None = None
    warnings: tuple[str, ...] = ()


def survey(
    source: SlideSource,
    network_mpp: float,
    seconds_per_megapixel: float,
    tissue: TissueConfig,
    reader: str = "auto",
) -> SlideSurvey:
    """Return what is known about a slide; errors are recorded in it, not raised.

    Parameters
    ----------
    source : SlideSource
        The slide as the user named it.
    network_mpp : float
        Resolution at which the network would work.
    seconds_per_megapixel : float
        Speed of the network on this machine, from `measure_speed`.
    tissue : TissueConfig
        How tissue is found.
    reader : str
        auto, openslide, tiffslide or image.
    """
    known: dict[str, object] = {}
    try:
        with open_slide(source.path, reader=reader) as slide:
            width, height = slide.dimensions
            levels = [
                (*size, down)
                for size, down in zip(slide.level_dimensions, slide.level_downsamples, strict=True)
            ]
            decided = slide.resolution(source.given, source.forced)
            known = {
                "reader": slide.reader, "width_l0": width, "height_l0": height, "levels": levels,
                "mpp": decided.mpp, "warnings": (*slide.facts.warnings, *decided.warnings),
                "statements": tuple(map(str, decided.statements)), "bounds": slide.facts.bounds,
                "mpp_from": decided.taken.source if decided.taken else None,
            }  # fmt: skip
            view = SlideView(slide, network_mpp, slide_mpp=source.given, forced=source.forced)
            mpp_l0 = view.mpp / view.scale_l0
            found = find_tissue(slide, tissue, mpp_l0)
            grid = Grid(view.width, view.height, SHARD_PX)
            boxes = computed_boxes(grid, found, view.scale_l0).values()
            pixels = sum((box.width + 2 * RADIUS_PX) * (box.height + 2 * RADIUS_PX) for box in boxes)
            known |= {
                "tissue_share": found.share,
                "warnings": (*view.warnings, *found.remarks),
                "tissue_mm2": found.share * width * height * mpp_l0**2 * 1e-6,
                "network_mpp": view.mpp,
                "megapixels": sum(box.width * box.height for box in boxes) / 1e6,
                "seconds": pixels / 1e6 * seconds_per_megapixel * (1 + OTHER_SHARE),
            }
    except WsisegError as error:
        return SlideSurvey(source.name, source.path, error=getattr(error, "cause", str(error)), **known)  # type: ignore[arg-type]
    return SlideSurvey(source.name, source.path, **known)  # type: ignore[arg-type]


def measure_speed(engine: Engine, workers: int, side_px: int = 320) -> float:
    """Return the seconds per megapixel of the network with all workers busy, from a short trial."""
    from concurrent.futures import ThreadPoolExecutor

    rgb = np.full((side_px, side_px, 3), 200, np.uint8)
    trials = [(rgb, rgb_table())] * workers
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda trial: engine.confidence(*trial), trials))
        started = time.perf_counter()
        list(pool.map(lambda trial: engine.confidence(*trial), trials))
    return (time.perf_counter() - started) / (workers * side_px**2 / 1e6)
