"""The job of a slide: all that a worker needs to compute any part of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wsiseg.config import ObjectsConfig
from wsiseg.inference.kernel import Kernel
from wsiseg.slides.view import SlideView
from wsiseg.store.slide_store import SlideStore


@dataclass(frozen=True)
class NetworkInput:
    """The source of a slide's confidence; each worker opens the slide and builds the network itself.

    Parameters
    ----------
    view : SlideView
        The slide at the model's resolution.
    kernel : Kernel
        The network.
    table : ndarray of float32, (3, 256, 3)
        What the network sees of the slide's pixels, see `wsiseg.network.appearance`.
    """

    view: SlideView
    kernel: Kernel
    table: npt.NDArray[np.float32]


@dataclass(frozen=True)
class SlideJob:
    """What a worker needs to compute any part of a slide; picklable.

    Parameters
    ----------
    store : SlideStore
        What is read and written, with the tissue and the grids.
    config : ObjectsConfig
        How confidence becomes nuclei.
    threshold : float
        Confidence from which a pixel is nucleus.
    network : NetworkInput, optional
        Not needed where the store has its confidence.
    """

    store: SlideStore
    config: ObjectsConfig
    threshold: float
    network: NetworkInput | None = None
