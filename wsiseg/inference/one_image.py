"""One image in memory: label image and table, by the pipeline of `predict`, without a file."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wsiseg.config import PredictConfig, predict_config
from wsiseg.errors import SlideError, UsageError
from wsiseg.evaluation.label_stores import enlarged
from wsiseg.inference.clusters import open_cluster
from wsiseg.inference.job import NetworkInput, SlideJob
from wsiseg.inference.kernel import Kernel
from wsiseg.inference.pipeline import FINDING, PAINTING
from wsiseg.inference.planner import plan
from wsiseg.inference.settings import settled
from wsiseg.inference.threshold import common_threshold, own_threshold
from wsiseg.machine.cores import available_cores
from wsiseg.network.appearance import StainScale, rgb_table, stain_table
from wsiseg.network.device import resolve_device
from wsiseg.network.model import Model, load_model
from wsiseg.objects.nuclei_frame import nuclei_frame
from wsiseg.objects.parquet import file_schema
from wsiseg.slides.array_slide import ArraySlide
from wsiseg.slides.reader import open_slide
from wsiseg.slides.resolution import Statement
from wsiseg.slides.sampling import sample_tissue
from wsiseg.slides.slide import Slide
from wsiseg.slides.tissue_finder import find_tissue, whole_tissue
from wsiseg.slides.view import SlideView
from wsiseg.store.identity import FrameInfo
from wsiseg.store.memory_store import MemoryStore
from wsiseg.store.nuclei_tables import complete_nuclei
from wsiseg.store.numbering import sorted_keys

if TYPE_CHECKING:
    import pandas as pd

MAX_IMAGE_PX = 400_000_000


def segment(
    image: npt.NDArray[Any] | str | os.PathLike[str],
    mpp: float | None = None,
    model: str | os.PathLike[str] | Model | None = None,
    *,
    threshold: float | None = None,
    min_area: float | None = None,
    certainty: float | None = None,
    no_splitting: bool = False,
    simplify: float | None = None,
    measurements: str | None = None,
    no_tissue: bool = False,
    workers: int | None = None,
    device: str | None = None,
    config: PredictConfig | None = None,
) -> tuple[npt.NDArray[np.int32], pd.DataFrame]:
    """Find the nuclei of one image, in memory; the same ones as `predict` finds in it.

    Parameters
    ----------
    image : ndarray of uint8, (H, W, 3), or path-like
        RGB pixels, red first; or an image or slide of up to 400 megapixels.
    mpp : float, optional
        Micrometres per pixel of the image; needed unless it is a file that says it.
    model : path-like or Model, optional
        A model file, a run folder, or "large"; the small model that ships with wsiseg if left out.
    threshold, min_area, certainty, no_splitting, simplify, measurements, no_tissue
        As in `predict`.
    workers : int, optional
        Threads; as many as there are cores if left out.
    device : str, optional
        auto, cpu, cuda, cuda:N or mps.
    config : PredictConfig, optional
        All settings at once; those given by name overrule it.

    Returns
    -------
    labels : ndarray of int32, (H, W)
        The id of the nucleus at each pixel of the image, 0 for none. Nuclei are found at the model's
        resolution, and a pixel takes the nucleus that its centre lies in.
    nuclei : pandas.DataFrame
        One row per nucleus, in the order of their ids, columns as in :doc:`/measurements`; ``_l0`` are pixels
        of the image. `geometry` holds shapely polygons; a ``GeoDataFrame`` if geopandas is installed.

    Raises
    ------
    UsageError
        If the array is no image, the resolution is missing, or the image is too large.
    SlideError
        If the file cannot be read.
    ModelError
        If the model cannot be read.

    Examples
    --------
    >>> labels, nuclei = wsiseg.segment(rgb, mpp=0.25)  # doctest: +SKIP
    """
    loaded = model if isinstance(model, Model) else load_model(model)
    settings = predict_config(
        config,
        threshold=threshold,
        min_area=min_area,
        certainty=certainty,
        no_splitting=no_splitting,
        simplify=simplify,
        measurements=measurements,
        no_tissue=no_tissue,
        workers=workers,
        device=device,
    )
    opened = ArraySlide(image) if isinstance(image, np.ndarray) else open_slide(image, settings.reader)
    with opened as slide:
        return _segment(slide, mpp, loaded, settled(settings, loaded.info))


def _segment(
    slide: Slide, mpp: float | None, model: Model, config: PredictConfig
) -> tuple[npt.NDArray[np.int32], pd.DataFrame]:
    view = _view_of(slide, mpp, config.mpp or model.info.mpp)
    for text in view.warnings:
        warnings.warn(f"{slide.path}: {text}", stacklevel=3)
    workers = available_cores() if config.workers is None else config.workers
    kernel = Kernel.of(model, resolve_device(config.device), workers)
    store, job = _prepared(view, model, kernel, config)
    with open_cluster(None, workers) as cluster:
        for _ in cluster.run(job, plan(job, FINDING)):
            pass
        if store.failures():
            raise SlideError(slide.path, f"cannot be read: {store.failures()[0]['cause']}")
        store.write_keys(sorted_keys(store))
        for _ in cluster.run(job, plan(job, PAINTING)):
            pass
    width, height = slide.dimensions
    labels = enlarged(store.labels[0].read(view.frame).astype(np.int32), view.scale_l0, (height, width))
    schema = file_schema(store.measurements)
    tables = [table.select(schema.names).cast(schema) for table in complete_nuclei(store)]
    return labels, nuclei_frame(pa.concat_tables([schema.empty_table(), *tables]))


def _view_of(slide: Slide, mpp: float | None, network_mpp: float) -> SlideView:
    width, height = slide.dimensions
    if width * height > MAX_IMAGE_PX:
        raise UsageError(
            f"{slide.path}: {width} x {height} pixels are too many for memory; "
            "wsiseg.predict takes slides of any size"
        )
    given = None if mpp is None else Statement("mpp", mpp, mpp)
    if slide.resolution(given).mpp is None:
        raise UsageError(f"{slide.path}: give the micrometres per pixel, such as mpp=0.25")
    return SlideView(slide, network_mpp, given)


def _prepared(
    view: SlideView, model: Model, kernel: Kernel, config: PredictConfig
) -> tuple[MemoryStore, SlideJob]:
    """Return an empty store of an image and the job that fills it, with what is measured on its tissue."""
    info = model.info
    tissue = find_tissue(view.slide, config.tissue, view.slide_mpp)
    whole = whole_tissue(view.slide, config.tissue, tissue, view.slide_mpp)
    table = rgb_table() if info.input == "rgb" else stain_table(StainScale.of(sample_tissue(view, whole)))
    threshold = common_threshold(info, config.objects)
    if threshold is None:
        threshold = own_threshold(view, whole, kernel, table, config.objects, info.threshold)
    frame = FrameInfo(view.width, view.height, view.mpp, view.scale_l0)
    store = MemoryStore(frame, tissue, config.tile_px, config.objects.measurements)
    return store, SlideJob(store, config.objects, threshold, NetworkInput(view, kernel, table))
