"""The slides and images to train on, each opened and tested before training starts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from wsiseg.config import TissueConfig
from wsiseg.errors import SlideError, UsageError
from wsiseg.network.appearance import StainScale, rgb_table, stain_table
from wsiseg.slides import open_slide
from wsiseg.slides.looks import brown_share, dab_remark
from wsiseg.slides.sampling import sample_tissue
from wsiseg.slides.tissue import Tissue
from wsiseg.slides.tissue_finder import find_tissue, whole_tissue
from wsiseg.slides.view import SlideView
from wsiseg.tiles import Box
from wsiseg.training.config import TrainingConfig
from wsiseg.training.observer import FitObserver
from wsiseg.training.randomness import Purpose, numpy_generator

if TYPE_CHECKING:
    from wsiseg.slides.sources import SlideSource

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
MAX_IMAGE_PX = 40_000_000
# Places of tissue kept for a slide of any size, so that memory does not grow with it.
PLACES = 2048
OPEN_BYTES = 512 << 20
SLIDE_BYTES = 32 << 20
# Crops lie anywhere: no tile is needed twice but in the same one.
KEPT_BYTES = 8 << 20


@dataclass(frozen=True, eq=False)
class TrainingSource:
    """One slide or image, as training sees it: plain values, no handle.

    Parameters
    ----------
    name, path, reader : str
        How it is called and opened.
    slide_mpp : float
        Micrometres per level-0 pixel, as it was decided.
    width, height : int
        Size of the frame at the model's resolution, in pixels.
    size_l0 : (int, int)
        (width, height) at level 0.
    is_image : bool
        Whether it is a plain image, in which every place counts as tissue.
    fingerprint : str
        Identifies the content of the file.
    places : int32 (n, 2) or None
        (x, y) of tissue pixels of a low level, in frame pixels of their top left corner; None for images.
    place_px : int
        Side of such a tissue pixel in frame pixels.
    table : float32 (3, 256, 3)
        What the network sees of a pixel: a lookup table of each colour's 256 values.
    warnings : tuple of str
        What is odd about it, in words.
    """

    name: str
    path: str
    reader: str
    slide_mpp: float
    width: int
    height: int
    size_l0: tuple[int, int]
    is_image: bool
    fingerprint: str
    places: npt.NDArray[np.int32] | None
    place_px: int
    table: npt.NDArray[np.float32]
    warnings: tuple[str, ...] = ()


def check_sources(
    slides: Sequence[SlideSource],
    config: TrainingConfig,
    *,
    reader: str = "auto",
    tissue: TissueConfig | None = None,
) -> tuple[list[TrainingSource], list[SlideError]]:
    """Open every slide, find its tissue and read one crop of it.

    Returns
    -------
    usable : list of TrainingSource
        The sources that training can use, in the given order.
    failures : list of SlideError
        Those that it cannot use, with the cause.
    """
    usable, failures = [], []
    for source in slides:
        try:
            usable.append(_check(source, config, reader, tissue or TissueConfig()))
        except SlideError as error:
            failures.append(error)
    return usable, failures


def usable_sources(
    slides: Sequence[SlideSource],
    config: TrainingConfig,
    reader: str,
    tissue: TissueConfig,
    observer: FitObserver,
) -> tuple[list[TrainingSource], list[SlideError]]:
    """Return the result of `check_sources`, and report what is left out.

    Raises
    ------
    UsageError
        If the resolution of a slide is unknown.
    SlideError
        If no slide can be used.
    """
    sources, failures = check_sources(slides, config, reader=reader, tissue=tissue)
    unknown = [error for error in failures if "--slide-mpp" in error.cause]
    if unknown:
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise UsageError(f"{unknown[0]}{more}")
    for error in failures:
        observer.message(f"left out: {error}")
    for source in sources:
        for warning in source.warnings:
            observer.message(f"{source.name}: {warning}")
    if not sources:
        if len(failures) == 1:
            raise failures[0]
        causes = "; ".join(str(error) for error in failures[:3])
        raise SlideError(failures[0].path, f"none of the {len(failures)} slides can be used: {causes}")
    return sources, failures


def _check(source: SlideSource, config: TrainingConfig, reader: str, tissue: TissueConfig) -> TrainingSource:
    with open_slide(source.path, reader) as slide:
        view = SlideView(slide, config.mpp, source.given, source.forced)
        crop = config.crop_px
        if view.width < crop or view.height < crop:
            raise SlideError(
                source.path,
                f"{view.width} x {view.height} pixels at {view.mpp:g} um per pixel; training needs at least "
                f"{crop} x {crop}: leave it out, or check --slide-mpp",
            )
        view.read(Box(0, 0, crop, crop))
        is_image = _is_image(source.path, slide.dimensions, len(slide.level_dimensions))
        places, place_px, table = None, 0, rgb_table()
        warnings = view.warnings
        if not is_image or config.input == "stains":
            found = find_tissue(slide, tissue, view.slide_mpp)
            warnings += found.remarks
            if not is_image:
                places, place_px = _tissue_places(view, found, config.seed)
            if config.input == "stains":
                whole = whole_tissue(slide, tissue, found, view.slide_mpp)
                sample = sample_tissue(view, whole)
                warnings += dab_remark(brown_share(sample))
                table = stain_table(StainScale.of(sample))
        return TrainingSource(
            name=source.name,
            path=source.path,
            reader=slide.reader,
            slide_mpp=view.slide_mpp,
            width=view.width,
            height=view.height,
            size_l0=slide.dimensions,
            is_image=is_image,
            fingerprint=slide.fingerprint,
            places=places,
            place_px=place_px,
            table=table,
            warnings=warnings,
        )


def _is_image(path: str, dimensions: tuple[int, int], levels: int) -> bool:
    small = dimensions[0] * dimensions[1] <= MAX_IMAGE_PX
    return levels == 1 and small and PurePath(path).suffix.lower() in IMAGE_ENDINGS


def _tissue_places(view: SlideView, found: Tissue, seed: int) -> tuple[npt.NDArray[np.int32], int]:
    rows, cols = np.nonzero(found.mask)
    if len(rows) == 0:
        raise SlideError(view.slide.path, "no tissue was found on it; give --tissue-mask or --no-tissue")
    kept = np.arange(len(rows))
    if len(rows) > PLACES:
        kept = np.sort(numpy_generator(Purpose.TISSUE, seed).choice(len(rows), PLACES, replace=False))
    scale = found.scale_l0 / view.scale_l0
    places = np.floor(np.stack([cols[kept], rows[kept]], axis=1) * scale).astype(np.int32)
    return places, max(1, math.ceil(scale))


class OpenViews:
    """The views that were read last, kept open up to a bounded memory; safe from several threads."""

    def __init__(self, mpp: float) -> None:
        self._mpp = mpp
        self._lock = Lock()
        # What another thread still reads from when it is dropped stays alive until it is done.
        self._views: LRUCache[str, SlideView] = LRUCache(OPEN_BYTES, getsizeof=_cost)

    def get(self, source: TrainingSource) -> SlideView:
        """Return the view of a source, opened when it is not open."""
        with self._lock:
            if source.path in self._views:
                return self._views[source.path]
        slide = open_slide(source.path, source.reader)
        slide.kept_bytes = KEPT_BYTES
        view = SlideView(slide, self._mpp, source.slide_mpp, forced=True)
        with self._lock:
            self._views[source.path] = view
        return view

    def close(self) -> None:
        """Close all slides."""
        with self._lock:
            for view in self._views.values():
                view.slide.close()
            self._views.clear()


def _cost(view: SlideView) -> int:
    """Return the approximate memory of an open slide; even a slide above the bound is kept open alone."""
    width, height = view.slide.dimensions
    return min(OPEN_BYTES, 3 * width * height if view.slide.reader == "image" else SLIDE_BYTES)
