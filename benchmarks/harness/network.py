"""A model on labelled fields, by the way of `predict`: its frame, its input, its engine, its objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.fields import MPP, Field
from wsiseg.config import ObjectsConfig, TissueConfig

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]
Found = tuple[Mask, Labels]


def finder(
    model: Any, config: ObjectsConfig, device: str = "auto", threads: int = 1
) -> Callable[[Field], Found]:
    """Return a function from a field to its clean mask and its nuclei, in the field's own pixels."""
    from wsiseg.inference.kernel import Kernel
    from wsiseg.inference.threshold import common_threshold, own_threshold
    from wsiseg.network.appearance import StainScale, rgb_table, stain_table
    from wsiseg.slides import open_slide
    from wsiseg.slides.sampling import sample_tissue
    from wsiseg.slides.tiles import Box
    from wsiseg.slides.tissue import find_tissue
    from wsiseg.slides.view import SlideView

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
            confidence = kernel.engine.confidence(view.read(Box(0, 0, view.width, view.height)), table)
            mask, labels = find_nuclei(confidence, config, threshold, view.mpp)
            shape = field.rgb.shape[:2]
            return at_level0(mask, view.scale_l0, shape), at_level0(labels, view.scale_l0, shape)

    return find


def find_nuclei(
    confidence: npt.NDArray[np.float32], config: ObjectsConfig, threshold: float = 0.5, mpp: float = MPP
) -> Found:
    """Return the clean mask and the nuclei of the confidence of a whole image, as `predict` finds them."""
    from wsiseg.objects.mask import clean_mask
    from wsiseg.objects.scales import Scales
    from wsiseg.objects.segment import segment_whole

    quantised = np.rint(255 * confidence).astype(np.uint8)
    mask = clean_mask(quantised, threshold, Scales.of(mpp, config)) > 0
    found = segment_whole(quantised, mpp, config, threshold)
    return mask, found.labels


def at_level0(values: npt.NDArray[Any], scale_l0: float, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return values of the frame in level-0 pixels: each takes that of the place its centre lies in."""
    if scale_l0 == 1 and values.shape == shape:
        return values
    rows, cols = (
        np.minimum(((np.arange(size) + 0.5) / scale_l0).astype(np.int64), length - 1)
        for size, length in zip(shape, values.shape, strict=True)
    )
    return values[np.ix_(rows, cols)]
