"""A model on labelled fields, by the way of `predict`: its frame, its input, its engine, its objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.fields import MPP, Field
from wsiseg.config import ObjectsConfig, TissueConfig
from wsiseg.objects.segment import Segmented

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]
Found = tuple[Mask, Labels]
Shape = tuple[int, int]


def finder(
    model: Any, config: ObjectsConfig, device: str = "auto", threads: int = 1
) -> Callable[[Field], Found]:
    """Return a function from a field to its clean mask and its nuclei, in the field's own pixels."""
    from wsiseg.inference.kernel import Kernel
    from wsiseg.inference.threshold import common_threshold, own_threshold
    from wsiseg.network.appearance import StainScale, rgb_table, stain_table
    from wsiseg.slides import open_slide
    from wsiseg.slides.sampling import sample_tissue
    from wsiseg.slides.tissue_finder import find_tissue
    from wsiseg.slides.view import SlideView
    from wsiseg.tiles import Box

    kernel = Kernel.of(model, device, threads)

    def find(field: Field) -> Found:
        with open_slide(field.image) as slide:
            view = SlideView(slide, model.info.mpp, MPP)
            table, tissue = rgb_table(), find_tissue(slide, TissueConfig(), MPP)
            if model.info.input == "stains":
                table = stain_table(StainScale.of(sample_tissue(view, tissue)))
            threshold = common_threshold(model.info, config)
            if threshold is None:
                threshold = own_threshold(view, tissue, kernel, table, config, model.info.threshold)
            confidence = kernel.load().confidence(view.read(Box(0, 0, view.width, view.height)), table)
            shape = (field.rgb.shape[0], field.rgb.shape[1])
            mask, found = find_nuclei(confidence, config, threshold, view.mpp)
            return at_level0(mask, view.scale_l0, shape), painted(
                found, config, threshold, view.mpp, view.scale_l0, shape
            )

    return find


def find_nuclei(
    confidence: npt.NDArray[np.float32], config: ObjectsConfig, threshold: float = 0.5, mpp: float = MPP
) -> tuple[Mask, Segmented]:
    """Return the clean mask and the nuclei of the confidence of a whole image, as `predict` finds them."""
    from wsiseg.objects.mask import clean_mask
    from wsiseg.objects.scales import Scales
    from wsiseg.objects.segment import segment_whole

    quantised = np.rint(255 * confidence).astype(np.uint8)
    mask = clean_mask(quantised, threshold, Scales.of(mpp, config)) > 0
    return mask, segment_whole(quantised, mpp, config, threshold)


def painted(
    found: Segmented, config: ObjectsConfig, threshold: float, mpp: float, scale_l0: float, shape: Shape
) -> Labels:
    """Return the nuclei in level-0 pixels, int32 of a shape: those whose centres lie in the outlines."""
    from shapely import from_wkb

    from wsiseg.evaluation.label_outlines import paint
    from wsiseg.objects.certainty import certain_ones
    from wsiseg.objects.records import describe

    table = certain_ones(describe(found, None, mpp, scale_l0, config), threshold, config.certainty)
    polygons = from_wkb(table["geometry"].drop_null().to_numpy(zero_copy_only=False))
    rings = [[polygon.exterior, *polygon.interiors] for polygon in polygons]
    outlines = [(tuple(np.asarray(ring.coords) for ring in each),) for each in rings]
    return paint(outlines, shape)


def at_level0(values: npt.NDArray[Any], scale_l0: float, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return values of the frame in level-0 pixels: each takes that of the place its centre lies in."""
    if scale_l0 == 1 and values.shape == shape:
        return values
    rows, cols = (
        np.minimum(((np.arange(size) + 0.5) / scale_l0).astype(np.int64), length - 1)
        for size, length in zip(shape, values.shape, strict=True)
    )
    return values[np.ix_(rows, cols)]
