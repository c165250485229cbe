"""The Python interface of wsiseg: what the command line does, with the same names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wsiseg.config import PredictConfig, predict_config
from wsiseg.errors import UsageError
from wsiseg.inference.batch import predict_slides
from wsiseg.inference.observer import PredictObserver
from wsiseg.inference.output_place import output_place
from wsiseg.machine.allocator import share_arenas
from wsiseg.machine.cores import wait_asleep
from wsiseg.machine.user_folders import work_folder
from wsiseg.network.model import Model, load_model
from wsiseg.report.batch_pages import BatchPages
from wsiseg.report.notebook import NotebookProgress, Reports
from wsiseg.report.notebook_bar import in_notebook
from wsiseg.slides.expand import expand
from wsiseg.slides.files import is_url
from wsiseg.slides.sources import SlideSource

if TYPE_CHECKING:
    from wsiseg.training.config import TrainingConfig
    from wsiseg.training.fit_config import FitConfig
    from wsiseg.training.fit_result import FitResult
    from wsiseg.training.observer import FitObserver
    from wsiseg.training.selection import Choice

PathLike = str | os.PathLike[str]


def predict(
    slides: PathLike | Sequence[PathLike],
    output: PathLike,
    model: PathLike | Model | None = None,
    *,
    slide_mpp: float | None = None,
    force_slide_mpp: bool = False,
    threshold: float | None = None,
    min_area: float | None = None,
    certainty: float | None = None,
    no_splitting: bool = False,
    simplify: float | None = None,
    measurements: str | None = None,
    tissue_mask: PathLike | None = None,
    no_tissue: bool = False,
    regions: PathLike | None = None,
    accept_odd: bool = False,
    mpp: float | None = None,
    tile_size: int | None = None,
    workers: int | None = None,
    device: str | None = None,
    reader: str | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    gzip: bool = False,
    split: int | None = None,
    only: str | Sequence[str] | None = None,
    one_table: bool = False,
    origin: str | None = None,
    config: PredictConfig | None = None,
    observer: PredictObserver | None = None,
) -> Reports:
    """Segment the nuclei of slides; leave a Zarr store, GeoJSON, Parquet, preview and report for each.

    Parameters
    ----------
    slides : path-like or sequence of path-like
        Slides, folders, globs, CSV lists (columns slide, mpp) or URLs.
    output : path-like
        Folder of the outputs, or a URL of an object store (``s3://...``). Finished slides in it are skipped,
        unfinished ones resumed.
    model : path-like or Model, optional
        A model file, a run folder, or "large"; the small model that ships with wsiseg if left out.
    slide_mpp : float, optional
        Micrometres per level-0 pixel of slides that do not record it.
    force_slide_mpp : bool
        Whether `slide_mpp`, or a list's value, overrules the resolution that a slide records.
    threshold : float, optional
        Confidence from which a pixel is nucleus, 0 to 1; the slide's own if left out.
    min_area, certainty, no_splitting, simplify
        Smallest nucleus in um2, how sure a nucleus must be, whether touching nuclei stay in one piece, how
        exact outlines are in um; defaults as in `ObjectsConfig`.
    measurements : {"basic", "all"}, optional
        What is measured of each nucleus; see :doc:`/measurements`.
    tissue_mask, no_tissue
        A mask (PNG or GeoJSON) of what is computed, or whether the whole slide is.
    regions : path-like, optional
        GeoJSON of named regions, or a folder with a file for each slide: only they are computed.
    accept_odd : bool
        Whether slides are taken that look like no H&E (fluorescence, inverted) or lack their original level.
    mpp : float, optional
        Resolution at which the network works, in um per pixel; the model's if left out.
    tile_size, workers, device, reader, scheduler, overwrite, gzip, split, origin
        As in `PredictConfig`, which has the defaults.
    only : str or sequence of str, optional
        What is kept of each slide: some of store, geojson, parquet, preview and report; all if left out.
    one_table : bool
        Whether all slides share one table, ``nuclei.parquet``, in place of one each.
    config : PredictConfig, optional
        All settings at once; those given by name override it.
    observer : PredictObserver, optional
        Is informed of progress; if omitted, a notebook shows a progress bar.

    Returns
    -------
    Reports
        A list of SlideReport: what became of each slide; a slide that failed is in it with its cause. A
        notebook shows it as a table with previews.

    Raises
    ------
    WsisegError
        If nothing can be started: no slides found, no such model or device, output folder not writable.
    """
    sources = _expanded(slides, slide_mpp, force_slide_mpp)
    loaded = model if isinstance(model, Model) else load_model(model)
    settings = predict_config(
        config,
        threshold=threshold,
        min_area=min_area,
        certainty=certainty,
        no_splitting=no_splitting,
        simplify=simplify,
        measurements=measurements,
        tissue_mask=tissue_mask,
        no_tissue=no_tissue,
        regions=regions,
        accept_odd=accept_odd,
        mpp=mpp,
        tile_size=tile_size,
        workers=workers,
        device=device,
        reader=reader,
        scheduler=scheduler,
        overwrite=overwrite,
        gzip=gzip,
        split=split,
        only=only,
        one_table=one_table,
        origin=origin,
    )
    if settings.one_table and is_url(os.fspath(output)):
        raise UsageError(f"{os.fspath(output)}: --one-table needs a folder; leave it out for a bucket")
    watching = observer or (NotebookProgress() if in_notebook() else PredictObserver())
    with (
        output_place(output, work_folder()) as place,
        BatchPages(place.folder, settings.reader, watching.warned, settings.only) as pages,
    ):
        reports = predict_slides(sources, place, loaded, settings, pages, watching)
    return Reports(reports, output)


def fit(
    slides: PathLike | Sequence[PathLike],
    output: PathLike,
    labels: PathLike | None = None,
    *,
    slide_mpp: float | None = None,
    force_slide_mpp: bool = False,
    label_images: PathLike | Sequence[PathLike] | None = None,
    preset: str | None = None,
    repeats: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    similarity: str | None = None,
    inter: str | None = None,
    sampler: str | None = None,
    anchors: int | None = None,
    no_invert: bool = False,
    select: str | None = None,
    prior: str | None = None,
    mpp: float | None = None,
    tissue_mask: PathLike | None = None,
    no_tissue: bool = False,
    accept_odd: bool = False,
    seed: int | None = None,
    max_minutes: float | None = None,
    workers: int | None = None,
    threads: int | None = None,
    jobs: int | None = None,
    device: str | None = None,
    reader: str | None = None,
    overwrite: bool = False,
    config: FitConfig | None = None,
    observer: FitObserver | None = None,
) -> FitResult:
    """Learn a network from slides or images without labels; leave a run folder that `predict` takes.

    It holds the model, the checkpoint, metrics and figures of each repeat, and a report.

    Parameters
    ----------
    slides : path-like or sequence of path-like
        Slides, folders, globs, CSV lists (columns slide, mpp) or URLs.
    output : path-like
        The run folder. A run of the same settings and slides in it is resumed.
    labels : path-like, optional
        Folder of labels, matched by name. With them epoch, channel, polarity and repeat are chosen by Dice,
        as in the paper; they never train. Without them, by agreement with the haematoxylin stain.
    slide_mpp : float, optional
        Micrometres per level-0 pixel of slides that do not record it.
    force_slide_mpp : bool
        Whether `slide_mpp`, or a list's value, overrules the resolution that a slide records.
    label_images : path-like or sequence of path-like, optional
        Images of the labels, where they are not those of `slides`: what is trained on slides can be chosen by
        labelled fields of others. Their resolution is given as that of slides is.
    preset : str, optional
        "default", "small" or "paper".
    repeats, epochs, batch_size, similarity, inter, sampler, anchors, no_invert, mpp, seed
        Settings of the training that differ from the preset's, see `TrainingConfig`.
    tissue_mask, no_tissue
        A mask (PNG or GeoJSON) of what is used of the slides, or whether all of it is.
    accept_odd : bool
        Whether slides are taken that look like no H&E (fluorescence, inverted) or lack their original level.
    select, prior, max_minutes, workers, threads, jobs, device, reader, overwrite
        As in `FitConfig`.
    config : FitConfig, optional
        All settings at once, the preset `default` if left out; those given by name overrule it. A preset
        given by name replaces its training.
    observer : Observer, optional
        Is informed of progress; if omitted, a notebook shows a progress bar.

    Returns
    -------
    FitResult

    Raises
    ------
    UsageError
        If the request is wrong, the folder holds a run of something else, or a slide's resolution is unknown.
    SlideError
        If no slide can be used.
    ModelError
        If the prior cannot be read or used.
    StoreError
        If another run works in the folder, or it cannot be written.
    KeyboardInterrupt
        After what is done has been put into a usable run folder.
    """
    # Before torch is imported.
    wait_asleep()
    from wsiseg.report.training_run import draw_run
    from wsiseg.training.fit import fit_slides
    from wsiseg.training.fit_config import fit_config
    from wsiseg.training.run_folder import RunFolder

    share_arenas()
    settings = fit_config(
        config,
        preset=preset,
        repeats=repeats,
        epochs=epochs,
        batch_size=batch_size,
        similarity=similarity,
        inter=inter,
        sampler=sampler,
        anchors=anchors,
        no_invert=no_invert,
        select=select,
        prior=prior,
        mpp=mpp,
        tissue_mask=tissue_mask,
        no_tissue=no_tissue,
        accept_odd=accept_odd,
        seed=seed,
        max_minutes=max_minutes,
        workers=workers,
        threads=threads,
        jobs=jobs,
        device=device,
        reader=reader,
        overwrite=overwrite,
    )
    sources = _expanded(slides, slide_mpp, force_slide_mpp)
    others = None if label_images is None else _expanded(label_images, slide_mpp, force_slide_mpp)
    watching = observer or _fit_observer(settings.training)
    result = fit_slides(sources, output, labels, settings, watching, others)
    folder = RunFolder(result.output)
    draw_run(folder, folder.record(), result.states)
    return result


def _fit_observer(training: TrainingConfig) -> FitObserver:
    """Return who watches a training where the caller gave nobody."""
    from wsiseg.report.notebook_fit import FitNotebookProgress
    from wsiseg.training.observer import FitObserver

    if in_notebook():
        return FitNotebookProgress(training.repeats, training.epochs, training.consensus_epochs)
    return FitObserver()


def reselect(output: PathLike, select: str) -> Choice:
    """Put another channel or repeat of a run into its model file, and redraw its report.

    Parameters
    ----------
    output : path-like
        The run folder.
    select : str
        "REPEAT:CHANNEL", for example "2:1": repeats from 1 (0 is the consensus), channels from 0.

    Returns
    -------
    Choice
        The model as it is now.

    Raises
    ------
    UsageError
        If there is no run, or no such repeat or channel in it.
    """
    from wsiseg.report.training_run import draw_run
    from wsiseg.training.reselect import reselect_run
    from wsiseg.training.run_folder import RunFolder

    record, states = reselect_run(output, select)
    folder = RunFolder(Path(output))
    draw_run(folder, record, states)
    assert record.choice is not None
    return record.choice


def _expanded(
    slides: PathLike | Sequence[PathLike], slide_mpp: float | None, force_slide_mpp: bool
) -> list[SlideSource]:
    arguments = [slides] if isinstance(slides, str | os.PathLike) else slides
    return expand([os.fspath(argument) for argument in arguments], slide_mpp, force_slide_mpp)
