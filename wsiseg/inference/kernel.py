"""The network in the form in which workers receive it: picklable, built at first use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from wsiseg.network.engine import Confidence, Engine, Pixels, make_engine
from wsiseg.network.model import Model, parse_model, serialise


@dataclass(frozen=True)
class Kernel:
    """The network for workers: the model file's bytes and where to run it.

    Parameters
    ----------
    data : bytes
        A model file.
    device : str
        auto, cpu, cuda, cuda:N or mps; resolved on the worker.
    threads : int
        Windows in flight on one worker.
    """

    data: bytes
    device: str = "auto"
    threads: int = 1

    @classmethod
    def of(cls, model: Model, device: str, threads: int) -> Kernel:
        """Return the kernel of a loaded model."""
        return cls(serialise(model.weights, model.info), device, threads)

    def load(self) -> Engine:
        """Return the engine, built once in each process."""
        return _engine(self)

    def confidence_u8(
        self, rgb: Pixels, table: Confidence, inner: tuple[slice, slice]
    ) -> npt.NDArray[np.uint8]:
        """Return the confidence in part of a window as stores keep it, 255 for 1; see `Engine.confidence`."""
        confidence = np.ascontiguousarray(self.load().confidence(rgb, table, inner))
        return np.asarray(cv2.convertScaleAbs(confidence, alpha=255), np.uint8)


@lru_cache(maxsize=2)
def _engine(kernel: Kernel) -> Engine:
    # The workers' threads already use all cores; a library's own threads would compete with them.
    cv2.setNumThreads(1)
    return make_engine(parse_model(kernel.data, "model"), kernel.device)
