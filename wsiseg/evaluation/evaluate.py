"""Predictions against labels: scores of every image, their mean and spread."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

from wsiseg.errors import LabelError, UsageError
from wsiseg.evaluation.label_matching import best_kind, kind_of, label_files, match_labels, stem_of
from wsiseg.evaluation.labels import Labels, load_labels
from wsiseg.evaluation.metrics import Scores, score

MEASURES = tuple(Scores.__dataclass_fields__)
SHOWN = ("dice", "aji", "pq", "f1")
# Files that have no size of their own.
_OUTLINES = ("geojson", "xml")


@dataclass(frozen=True)
class ImageScores:
    """The scores of one image.

    Parameters
    ----------
    name : str
        Name of the image.
    prediction, labels : str
        The two files compared.
    scores : Scores
        How well the two agree.
    has_instances : bool
        Whether both files tell touching nuclei apart. If not, AJI, PQ, F1 and counts are of connected
        components of a mask.
    """

    name: str
    prediction: str
    labels: str
    scores: Scores
    has_instances: bool


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What `evaluate` found.

    Parameters
    ----------
    images : tuple of ImageScores
        One a compared image, in the order of the predictions.
    failed : dict of str to str
        Images that could not be compared, and why.
    without_labels : tuple of str
        Predictions for which there are no labels.
    without_prediction : tuple of str
        Label files for which there is no prediction.
    """

    images: tuple[ImageScores, ...]
    failed: dict[str, str]
    without_labels: tuple[str, ...]
    without_prediction: tuple[str, ...]

    @property
    def mean(self) -> dict[str, float]:
        """Mean over images of each score; empty where there are none."""
        return {name: statistics.fmean(values) for name, values in self._columns()}

    @property
    def sd(self) -> dict[str, float]:
        """Sample standard deviation over images of each score; NaN for one image."""
        return {
            name: statistics.stdev(values) if len(values) > 1 else math.nan
            for name, values in self._columns()
        }

    def _columns(self) -> Iterator[tuple[str, list[float]]]:
        if self.images:
            for name in MEASURES:
                yield name, [float(getattr(image.scores, name)) for image in self.images]

    def __repr__(self) -> str:
        """Return the mean scores in one line."""
        scores = ", ".join(f"{name} {value:.3f}" for name, value in self.mean.items() if name in SHOWN)
        return f"<Evaluation of {len(self.images)} images: {scores or 'none compared'}>"

    def _repr_html_(self) -> str:
        """Return a row per image, and mean and sd, as a notebook shows them."""
        rows = [(image.name, asdict(image.scores)) for image in self.images]
        rows += [("mean", self.mean), ("sd", self.sd)] if rows else []
        head = "".join(f"<th>{name}</th>" for name in ("image", *SHOWN))
        cells = (
            f"<tr><td>{escape(name)}</td>" + "".join(f"<td>{scores[key]:.3f}</td>" for key in SHOWN) + "</tr>"
            for name, scores in rows
        )
        failed = "".join(f"<p>{escape(name)}: {escape(cause)}</p>" for name, cause in self.failed.items())
        return f"<table><tr>{head}</tr>{''.join(cells)}</table>{failed}"

    def to_json(self) -> str:
        """Return everything as JSON text; what is not a number is null."""
        sd = {name: None if math.isnan(value) else value for name, value in self.sd.items()}
        images = [
            {k: v for k, v in asdict(image).items() if k != "scores"} | asdict(image.scores)
            for image in self.images
        ]
        return json.dumps({**asdict(self), "images": images, "mean": self.mean, "sd": sd}, indent=1)

    def to_csv(self) -> str:
        """Return one row per image, then the rows `mean` and `sd`, as CSV text."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["name", *MEASURES, "has_instances", "prediction", "labels"])
        for image in self.images:
            values = [_short(getattr(image.scores, name)) for name in MEASURES]
            writer.writerow([image.name, *values, image.has_instances, image.prediction, image.labels])
        for title, summary in (("mean", self.mean), ("sd", self.sd)):
            writer.writerow([title, *(_short(summary[name]) for name in MEASURES if summary), "", "", ""])
        return text.getvalue()


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else "" if math.isnan(value) else f"{value:.6f}"


def evaluate(
    predictions: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], labels: str | os.PathLike[str]
) -> Evaluation:
    """Score predictions against labels.

    Parameters
    ----------
    predictions : path-like or sequence of path-like
        Zarr stores or GeoJSON files of `predict`, label images or masks, or folders of such. Where a folder
        holds several for one image, GeoJSON is taken, then the store, then label images.
    labels : path-like
        A label file for one prediction, or a folder of label files, matched by name.

    Returns
    -------
    Evaluation
        Outlines and stores are compared in level-0 pixels, at the size of the label image.

    Raises
    ------
    UsageError
        If there is no prediction.
    LabelError
        If there are no labels for any of them.
    """
    given = [predictions] if isinstance(predictions, str | os.PathLike) else predictions
    files = list(_prediction_files(Path(path) for path in given))
    if not files:
        places = ", ".join(map(str, given))
        raise UsageError(f"no predictions in {places}; give what `wsiseg predict` wrote, or label images")
    truths = match_labels(files, labels)
    images, failed = [], {}
    for file in files:
        name = stem_of(file)
        if name in truths:
            try:
                images.append(compare(name, file, truths[name]))
            except LabelError as error:
                failed[name] = str(error)
    return Evaluation(
        images=tuple(images),
        failed=failed,
        without_labels=tuple(stem_of(file) for file in files if stem_of(file) not in truths),
        without_prediction=_unused(Path(labels), files, set(truths.values())),
    )


def compare(name: str, prediction: Path, truth: Path) -> ImageScores:
    """Score one prediction against its labels.

    Raises
    ------
    LabelError
        If one of the files cannot be read, or they are not of the same image.
    """
    true, predicted = _same_size(truth, prediction)
    both = true.has_instances and predicted.has_instances
    return ImageScores(name, str(prediction), str(truth), score(true.image, predicted.image), both)


def _same_size(truth: Path, prediction: Path) -> tuple[Labels, Labels]:
    """Read both at the size of the labels, else of the prediction, else of the smallest image for both."""
    if kind_of(truth) not in _OUTLINES:
        true = load_labels(truth)
        return true, load_labels(prediction, (true.image.shape[0], true.image.shape[1]))
    if kind_of(prediction) not in _OUTLINES:
        predicted = load_labels(prediction)
        return load_labels(truth, (predicted.image.shape[0], predicted.image.shape[1])), predicted
    sizes = [load_labels(file).image.shape for file in (truth, prediction)]
    shape = (max(size[0] for size in sizes), max(size[1] for size in sizes))
    return load_labels(truth, shape), load_labels(prediction, shape)


def _prediction_files(places: Iterable[Path]) -> Iterator[Path]:
    """Yield one file per image, in the order given, folders in the order of names."""
    for place in places:
        if not place.exists():
            raise UsageError(f"{place}: no such file or folder; give what `wsiseg predict` wrote")
        if kind_of(place) is not None:
            yield place
        elif place.is_dir():
            names: dict[str, list[Path]] = {}
            for path in label_files(place):
                names.setdefault(stem_of(path), []).append(path)
            yield from (best_kind(paths) for paths in names.values())
        else:
            raise UsageError(
                f"{place}: not a prediction; give a .zarr, .geojson, label image, or a folder of them"
            )


def _unused(labels: Path, files: Sequence[Path], used: set[Path]) -> tuple[str, ...]:
    """Return the names of label files in a folder that are of none of the predictions."""
    if not labels.is_dir() or kind_of(labels) is not None:
        return ()
    known = {stem_of(path) for path in used} | {stem_of(path) for path in files}
    others = (stem_of(path) for path in label_files(labels))
    return tuple(dict.fromkeys(name for name in others if name not in known))
