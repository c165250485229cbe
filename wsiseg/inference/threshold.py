"""The threshold of one slide, from a sample of its tissue, before any tile is computed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from wsiseg.config import ObjectsConfig
from wsiseg.errors import SlideError
from wsiseg.inference.kernel import Kernel
from wsiseg.network.model import ModelInfo
from wsiseg.objects.threshold import most_convex
from wsiseg.slides.sampling import sample_boxes
from wsiseg.slides.tissue import Tissue
from wsiseg.slides.view import SlideView
from wsiseg.tiles import Box

WINDOWS = 6
WINDOW_PX = 256
# Less than the network's full reach: pixels farther away hardly change confidence, and none of it is kept.
MARGIN_PX = 32


def common_threshold(info: ModelInfo, config: ObjectsConfig) -> float | None:
    """Return the threshold that holds for every slide; None where each has its own."""
    return info.threshold if config.threshold is None and not info.adaptive else config.threshold


def own_threshold(
    view: SlideView,
    tissue: Tissue,
    kernel: Kernel,
    table: npt.NDArray[np.float32],
    config: ObjectsConfig,
    usual: float,
) -> float:
    """Return the threshold at which nuclei are most convex in six windows of 256 px spread over the tissue.

    Windows that cannot be decoded are left out; without any the usual threshold is taken.

    Parameters
    ----------
    view : SlideView
        The slide at the network's resolution.
    tissue : Tissue
        Where the tissue is.
    kernel : Kernel
        The network.
    table : ndarray of float32, (3, 256, 3)
        What the network sees of each value of red, green and blue.
    config : ObjectsConfig
        How confidence becomes nuclei.
    usual : float
        The model's threshold.
    """

    def confidence(box: Box) -> npt.NDArray[np.uint8] | None:
        window = box.grown(MARGIN_PX).clipped(view.frame)
        try:
            rgb = view.read(window)
        except SlideError:
            return None
        return kernel.confidence_u8(rgb, table, box.slices_in(window))

    with ThreadPoolExecutor(kernel.threads) as pool:
        windows = list(pool.map(confidence, sample_boxes(view, tissue, WINDOWS, WINDOW_PX)))
        seen = [window for window in windows if window is not None]
        return most_convex(seen, view.mpp, config, usual, pool.map)
