"""What all slides of a run share."""

from __future__ import annotations

from dataclasses import dataclass, replace

from wsiseg.config import PredictConfig
from wsiseg.inference.graph import Cluster
from wsiseg.inference.kernel import Kernel
from wsiseg.inference.observer import PredictObserver
from wsiseg.inference.pages import Pages
from wsiseg.inference.regions import tissue_of
from wsiseg.inference.threshold import common_threshold
from wsiseg.network.model import Model
from wsiseg.slides.sources import SlideSource


@dataclass(frozen=True)
class Run:
    """What all slides of a run share."""

    model: Model
    config: PredictConfig
    cluster: Cluster
    kernel: Kernel
    observer: PredictObserver
    pages: Pages

    @property
    def threshold(self) -> float | None:
        """The threshold of every slide; None where each has its own."""
        return common_threshold(self.model.info, self.config.objects)

    def of(self, source: SlideSource) -> Run:
        """Return the run with the settings of one slide: its own regions.

        Raises
        ------
        SlideError
            If it has none in the folder of regions.
        """
        tissue = tissue_of(self.config.tissue, source)
        return replace(self, config=replace(self.config, tissue=tissue))

    def engine_name(self) -> str:
        """Return what runs the network; builds it, if it runs in this process."""
        # With a scheduler its workers run the network; this machine may not have their device.
        if self.config.scheduler is not None:
            return f"{self.config.device} of dask workers"
        return self.kernel.load().name
