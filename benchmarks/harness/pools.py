"""Tissue to train from, and what each pixel is worth: generated fields, free images as models agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from wsiseg.config import ObjectsConfig
from wsiseg.network.appearance import StainScale, stain_table
from wsiseg.network.engine import make_engine
from wsiseg.network.model import Model
from wsiseg.objects.segment import segment_whole
from wsiseg.slides import open_slide
from wsiseg.slides.view import SlideView
from wsiseg.synthetic import SyntheticSlide
from wsiseg.synthetic.glandular import draw_field
from wsiseg.tiles import Box
from wsiseg.training.guided.consensus import rounded
from wsiseg.training.guided.generated import touching
from wsiseg.training.guided.stain_target import GLASS, haematoxylin, insides, smoothed

Pixels = npt.NDArray[np.uint8]
FIELD_MPP = 0.25
GAP_UM = 0.75
# Nuclei of free images are found at this resolution, from this confidence.
FOUND_MPP, THRESHOLD, ROUNDING_UM = 1 / 3, 0.35, 1.0
# What is unsure counts a tenth.
UNSURE = 25


@dataclass(frozen=True)
class Tissue:
    """An image with what is to be learned from it.

    Parameters
    ----------
    pixels : uint8 (H, W, 3)
    nucleus, inside, worth : uint8 (H, W)
        Targets, 255 for 1, and how much each pixel counts.
    mpp : float
    table : float32 (3, 256, 3)
        What a network sees of a pixel.
    """

    pixels: Pixels
    nucleus: Pixels
    inside: Pixels
    worth: Pixels
    mpp: float
    table: npt.NDArray[np.float32]


def labelled(
    pixels: Pixels, labels: npt.NDArray[np.int32], mpp: float, worth: Pixels | None = None
) -> Tissue:
    """Return tissue whose nuclei are given; where two touch, the target is empty between them."""
    side = max(3, round(GAP_UM / mpp) | 1)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    between = cv2.dilate(touching(labels).astype(np.uint8), disk) > 0
    return Tissue(
        pixels,
        ((labels > 0) & ~between).astype(np.uint8) * 255,
        np.rint(255 * insides(labels)).astype(np.uint8),
        np.full(labels.shape, 255, np.uint8) if worth is None else worth,
        mpp,
        stain_table(StainScale.of(pixels)),
    )


def nests(count: int, first: int, side_px: int = 1200) -> list[Tissue]:
    """Return generated fields of nests and stroma, as `SyntheticSlide` draws them."""
    made = []
    for number in range(first, first + count):
        rng = np.random.default_rng([77, number])
        slide = SyntheticSlide(
            side_px,
            side_px,
            mpp=FIELD_MPP * rng.uniform(0.6, 1.32),
            seed=int(rng.integers(2**31)),
            tissue_share=1.0,
            pen=False,
            noise=float(rng.uniform(0.5, 4)),
        )
        made.append(labelled(slide.render(slide.frame), slide.truth(slide.frame), FIELD_MPP))
    return made


def crypts(count: int, first: int, side_px: int = 1000) -> list[Tissue]:
    """Return generated fields of glandular tissue."""
    made = []
    for number in range(first, first + count):
        zoom = float(np.exp(np.random.default_rng([5, number]).uniform(np.log(0.65), np.log(1.3))))
        made.append(labelled(*draw_field(side_px, FIELD_MPP * zoom, number), FIELD_MPP))
    return made


def agreed(path: Path, mpp: float, voters: Sequence[tuple[Model, float]]) -> Tissue:
    """Return a free image with the nuclei that models agree on.

    Parameters
    ----------
    path : Path
    mpp : float
        Micrometres per pixel.
    voters : sequence of (Model, float)
        Each with the resolution it looks at. What one of them suspects, what the stain does and they do not,
        and nuclei of low confidence hardly count.
    """
    with open_slide(path) as slide:
        view = SlideView(slide, mpp, mpp)
        pixels = view.read(Box(0, 0, view.width, view.height))
    if mpp > 1.2 * FIELD_MPP:
        pixels, mpp = _resized(pixels, 2, cv2.INTER_CUBIC), mpp / 2
    confidence = np.mean([_confidence(model, at, pixels, mpp) for model, at in voters], axis=0)
    small = np.rint(255 * _resized(confidence, mpp / FOUND_MPP)).clip(0, 255).astype(np.uint8)
    found = rounded(
        segment_whole(small, FOUND_MPP, ObjectsConfig(), THRESHOLD).labels, ROUNDING_UM / FOUND_MPP
    )
    size = (pixels.shape[1], pixels.shape[0])
    labels = cv2.resize(found.astype(np.float32), size, interpolation=cv2.INTER_NEAREST).astype(np.int32)
    nucleus, density = labels > 0, smoothed(haematoxylin(pixels), 0.8 / mpp)
    tissue = (confidence < 0.05) & (pixels.min(-1) < GLASS) & ~nucleus
    suspect = density[tissue].mean() + 0.3 * (density[nucleus].mean() - density[tissue].mean())
    unsure = np.where(nucleus, confidence < 0.3, (confidence > 0.08) | (density > suspect))
    return labelled(pixels, labels, mpp, np.where(unsure, UNSURE, 255).astype(np.uint8))


def _confidence(model: Model, at_mpp: float, pixels: Pixels, mpp: float) -> npt.NDArray[np.float32]:
    small = _resized(pixels, mpp / at_mpp)
    found = make_engine(model, "cpu").confidence(small, stain_table(StainScale.of(pixels)))
    return np.asarray(cv2.resize(found, (pixels.shape[1], pixels.shape[0])), np.float32)


def _resized(values: npt.NDArray, factor: float, larger: int = cv2.INTER_LINEAR) -> npt.NDArray:
    return cv2.resize(
        values, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA if factor < 1 else larger
    )
