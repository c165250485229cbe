"""The threshold of one slide, from a sample of its tissue, before any tile is computed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsiseg.config import ObjectsConfig
from wsiseg.errors import SlideError
from wsiseg.inference.kernel import Kernel
from wsiseg.network.model import ModelInfo
from wsiseg.objects.threshold import are_few, suited_threshold
from wsiseg.slides.sampling import sample_boxes
from wsiseg.slides.tissue import Tissue
from wsiseg.slides.view import SlideView
from wsiseg.tiles import Box

WINDOWS = 16
WINDOW_PX = 256
# Less than the network's full reach: pixels farther away hardly change confidence, and none of it is kept.
MARGIN_PX = 32
TURNS = 4


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
    """Return the threshold that suits 16 windows of 256 px spread over the tissue, see `suited_threshold`.

    The network sees each as it lies and turned by a quarter, a half and three quarters. Windows that cannot
    be decoded are left out; without any the usual threshold is taken.

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

    def read(box: Box) -> _Seen | None:
        window = box.grown(MARGIN_PX).clipped(view.frame)
        try:
            return _Seen(view.read(window), *box.slices_in(window))
        except SlideError:
            return None

    def confidence(turned: tuple[int, _Seen]) -> npt.NDArray[np.uint8]:
        turns, seen = turned
        for _ in range(turns):
            seen = seen.turned()
        return kernel.confidence_u8(seen.rgb, table, (seen.rows, seen.cols))

    with ThreadPoolExecutor(kernel.threads) as pool:
        boxes = sample_boxes(view, tissue, WINDOWS, WINDOW_PX)
        windows = [seen for seen in pool.map(read, boxes) if seen is not None]
        as_it_lies = list(pool.map(confidence, product([0], windows)))
        if are_few(as_it_lies, view.mpp, config, usual):
            return usual
        turned = list(pool.map(confidence, product(range(1, TURNS), windows)))
        others = [turned[k : k + len(windows)] for k in range(0, len(turned), len(windows))]
        turns = [as_it_lies, *others]
        return suited_threshold(turns, view.mpp, config, usual, pool.map)


class _Seen(NamedTuple):
    """Pixels of a window, and what of it counts."""

    rgb: npt.NDArray[np.uint8]
    rows: slice
    cols: slice

    def turned(self) -> _Seen:
        """Return the same seen turned by a quarter."""
        width = self.rgb.shape[1]
        rows = slice(width - self.cols.stop, width - self.cols.start)
        return _Seen(np.ascontiguousarray(np.rot90(self.rgb)), rows, self.rows)
