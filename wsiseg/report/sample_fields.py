"""Sample fields of a slide at full resolution with the outlines found: some by chance, some unsure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wsiseg.errors import SlideError
from wsiseg.machine.replacing import write_output
from wsiseg.report.page import jpeg
from wsiseg.report.slide_numbers import FIELD_UM, SlideNumbers
from wsiseg.store.identity import FrameInfo
from wsiseg.store.slide_store import SlideStore
from wsiseg.tiles import Box

if TYPE_CHECKING:
    from wsiseg.slides.slide import Slide

FIELDS = 4
LEAST_NUCLEI = 8
FINEST_MPP = 0.25
# Nuclei at a field's border are traced whole, so that no outline runs along the border.
MARGIN_UM = 20.0
TOLERANCE_UM = 0.125

Rgb = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Outline:
    """A nucleus in a field: id, mean confidence (0 to 1), and its SVG path in pixels of the frame."""

    id: int
    confidence: float
    path: str


def choose_fields(
    numbers: SlideNumbers, store: SlideStore, count: int = FIELDS
) -> tuple[list[Box], list[Box]]:
    """Return random fields on tissue and the least certain ones, as boxes in the frame; always the same ones.

    The least certain are those whose nuclei (at least 8, fewer only where no field has so many) have the
    lowest mean confidence.
    """
    frame = store.frame
    on_tissue = numbers.cells.tissue_shares(store.tissue, frame).ravel()
    wanted = max(0.0, min(0.5, float(on_tissue.max(initial=0.0))))
    candidates = np.flatnonzero((on_tissue >= wanted) & (on_tissue > 0))
    fingerprint = str(store.provenance["identity"]["slide"])
    seed = int.from_bytes(hashlib.sha256(fingerprint.encode()).digest()[:8], "big")
    drawn = np.random.default_rng(seed).permutation(candidates)[:count]
    least = min(LEAST_NUCLEI, int(numbers.in_cell.max(initial=0)))
    known = np.setdiff1d(np.flatnonzero(numbers.in_cell >= max(1, least)), drawn)
    mean = numbers.confidence_in_cell[known] / numbers.in_cell[known]
    unsure = known[np.lexsort((known, mean))][:count]
    return [_box(numbers, int(i), frame) for i in drawn], [_box(numbers, int(i), frame) for i in unsure]


def _box(numbers: SlideNumbers, place: int, frame: FrameInfo) -> Box:
    row, col = divmod(place, numbers.cells.cols)
    width, height = (min(round(FIELD_UM / frame.mpp), side) for side in (frame.width, frame.height))
    x0 = round((col + 0.5) * numbers.cells.width_um / frame.mpp - width / 2)
    y0 = round((row + 0.5) * numbers.cells.height_um / frame.mpp - height / 2)
    x0, y0 = min(max(0, x0), frame.width - width), min(max(0, y0), frame.height - height)
    return Box(x0, y0, x0 + width, y0 + height)


def picture_name(box: Box) -> str:
    """Return the name of a field's picture, which says where it is."""
    return f"field-{'-'.join(map(str, box))}.jpg"


def write_pictures(folder: Path, boxes: Sequence[Box], slide: Slide, frame: FrameInfo) -> None:
    """Write the fields that are not there yet, read from the slide at up to 0.25 um per pixel.

    A field that cannot be decoded is left out.
    """
    from wsiseg.slides.view import SlideView

    mpp_l0 = frame.mpp / frame.scale_l0
    view = SlideView(slide, max(mpp_l0, FINEST_MPP), slide_mpp=mpp_l0, forced=True)
    factor = frame.scale_l0 / view.scale_l0
    for box in boxes:
        path = folder / picture_name(box)
        if path.exists():
            continue
        try:
            rgb = view.read(Box(*(round(side * factor) for side in box)))
        except SlideError:
            continue
        write_output(path, jpeg(rgb, 88))


def stain_picture(store: SlideStore, box: Box) -> Rgb:
    """Return a field from the store alone: haematoxylin, dark where there is much, uint8 (H, W)."""
    picture: Rgb = 255 - store.haematoxylin.read(box.halved())
    return picture


def outlines(store: SlideStore, box: Box) -> list[Outline]:
    """Return the outlines of the nuclei in a field, in pixels of the frame from the field's corner."""
    from wsiseg.objects.outlines import trace
    from wsiseg.objects.simplify import simplified

    mpp = store.frame.mpp
    window = box.grown(math.ceil(MARGIN_UM / mpp)).clipped(store.blocks.frame)
    ids, values = store.labels[0].read(window), store.confidence[0].read(window)
    here = np.unique(ids[box.slices_in(window)])
    here = here[here > 0]
    if not len(here):
        return []
    # Numbered from 1 without gaps, as `trace` wants them; ids that are not in the field become 0.
    place = np.minimum(np.searchsorted(here, ids), len(here) - 1)
    labels = np.where(here[place] == ids, place + 1, 0).astype(np.int32)
    areas = np.bincount(labels.ravel(), minlength=len(here) + 1)[1:]
    confidence = np.bincount(labels.ravel(), values.ravel(), len(here) + 1)[1:] / (255 * areas)
    rings = simplified(trace(labels, np.ones(len(here), np.bool_)), areas, TOLERANCE_UM / mpp)
    points = np.round(rings.points - (box.x0 - window.x0, box.y0 - window.y0), 1)
    paths = [""] * len(here)
    for ring, owner in enumerate(rings.owners):
        paths[owner] += _path(points[rings.starts[ring] : rings.starts[ring + 1] - 1])
    return [
        Outline(int(number), float(share), path)
        for number, share, path in zip(here, confidence, paths, strict=True)
    ]


def _path(points: npt.NDArray[np.float64]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) + "Z"
