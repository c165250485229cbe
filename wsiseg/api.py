"""The Python face of wsiseg: what the command line does, with the same names."""

from __future__ import annotations

import os
from collections.abc import Sequence

from wsiseg.config import PredictConfig
from wsiseg.inference.batch import predict_slides
from wsiseg.inference.outputs import Observer, SlideReport
from wsiseg.inference.place import output_place
from wsiseg.network.model import Model, load_model
from wsiseg.report.batch_pages import PagesInShadow
from wsiseg.report.slide_preview import draw_preview
from wsiseg.slides.sources import expand

PathLike = str | os.PathLike[str]


def predict(
    slides: PathLike | Sequence[PathLike],
    output: PathLike,
    model: PathLike | Model | None = None,
    *,
    slide_mpp: float | None = None,
    force_slide_mpp: bool = False,
    config: PredictConfig | None = None,
    observer: Observer | None = None,
) -> list[SlideReport]:
    """Segment the nuclei of slides; leave a Zarr store, GeoJSON, Parquet, preview and report for each.

    Parameters
    ----------
    slides : path-like or sequence of path-like
        Slides, folders, globs, CSV lists (columns slide, mpp) or URLs.
    output : path-like
        Folder of the outputs, or a URL of an object store (``s3://...``). Finished slides in it are skipped,
        unfinished ones resumed.
    model : path-like or Model, optional
        A model file or run folder; the model that ships with wsiseg if left out.
    slide_mpp : float, optional
        Micrometres per level-0 pixel of slides that do not say it themselves.
    force_slide_mpp : bool
        Whether the resolution given by the user stands even where a slide says something else.
    config : PredictConfig, optional
    observer : Observer, optional
        Is told of the progress.

    Returns
    -------
    list of SlideReport
        What became of each slide; a slide that failed is in it with its cause.

    Raises
    ------
    WsisegError
        If nothing can be started: no slides found, no such model or device, output folder not writable.
    """
    arguments = [slides] if isinstance(slides, str | os.PathLike) else slides
    sources = expand([os.fspath(argument) for argument in arguments], slide_mpp, force_slide_mpp)
    loaded = model if isinstance(model, Model) else load_model(model)
    config = config or PredictConfig()
    with (
        output_place(output) as place,
        PagesInShadow(place.folder, config.reader, observer or Observer()) as watcher,
    ):
        return predict_slides(sources, place.folder, loaded, config, draw_preview, watcher, place)
