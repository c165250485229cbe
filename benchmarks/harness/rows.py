"""The rows of table 2: each trains on some fields and finds nuclei in others."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from harness.cells import cell
from harness.fields import MPP, Field
from harness.network import Found, find_nuclei, finder
from wsiseg.config import ObjectsConfig

Scores = dict[str, dict[str, float]]

# The paper's clean-up: opening and closing with disks of 3 and 1 px; no hole is filled, nothing dropped.
PAPER_OBJECTS = ObjectsConfig(
    opening_um=(0.75, 0.25), closing_um=(0.75, 0.25), hole_area_um2=0.0, min_area_um2=0.0, certainty=0.0
)


@dataclass(frozen=True)
class Split:
    """Fields to train on and fields to score: a fold, or the training and the test set."""

    name: str
    train: Sequence[Field]
    test: Sequence[Field]


@dataclass(frozen=True)
class Bench:
    """Where cells and runs are kept, and how much is computed."""

    output: Path
    device: str
    threads: int
    repeats: int
    epochs: int | None
    supervised_epochs: int
    pretext_steps: int
    pretext_patch_px: int
    pretext_batch: int
    seed: int
    say: Callable[[str], None]

    def cell(
        self, row: str, name: str, settings: Mapping[str, Any], compute: Callable[[], Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Return a cell of a row, kept or computed."""
        return cell(self.output / "cells" / row / f"{name}.json", settings, compute, self.say)


def score_found(fields: Iterable[Field], find: Callable[[Field], Found]) -> Scores:
    """Return the scores of each field; the Dice is that of the clean mask."""
    return {field.name: field.score(*find(field)) for field in fields}


def _found(confidence: npt.NDArray[np.float32]) -> Found:
    mask, nuclei = find_nuclei(confidence, PAPER_OBJECTS)
    return mask, nuclei.labels


def threshold_row(bench: Bench, split: Split) -> list[dict[str, Any]]:
    """Take the grey threshold that is best on the training labels."""
    from harness.baselines import best_grey_threshold, grey_mask

    def compute() -> dict[str, Any]:
        threshold = best_grey_threshold((field.rgb, field.truth) for field in split.train)
        scores = {field.name: field.score(grey_mask(field.rgb, threshold)) for field in split.test}
        return {"scores": scores, "threshold": threshold}

    return [bench.cell("threshold", split.name, _sets(split), compute)]


def script_row(bench: Bench, split: Split) -> list[dict[str, Any]]:
    """Take the script of twenty lines."""
    from harness.baselines import script_nuclei

    def compute() -> dict[str, Any]:
        found = ((field, script_nuclei(field.rgb)) for field in split.test)
        return {"scores": {field.name: field.score(nuclei > 0, nuclei) for field, nuclei in found}}

    return [bench.cell("script", split.name, _sets(split), compute)]


def supervised_row(bench: Bench, split: Split) -> list[dict[str, Any]]:
    """Train the same network with the labels."""
    from harness.supervised import SupervisedConfig, train_supervised
    from wsiseg.network.model import Model, ModelInfo, weights_of
    from wsiseg.training.guided.augment import jitter_rgb
    from wsiseg.training.reproducible import reproducible

    config = SupervisedConfig(epochs=bench.supervised_epochs, seed=bench.seed)

    def compute() -> dict[str, Any]:
        started = time.monotonic()
        with reproducible(bench.threads):
            network = train_supervised(
                [field.rgb for field in split.train],
                [field.truth for field in split.train],
                config,
                augment=lambda pixels, generator: jitter_rgb(pixels, 0.2, 0.05, generator),
                device=_device(bench),
                after_epoch=lambda epoch, loss: bench.say(
                    f"  epoch {epoch}/{config.epochs}: loss {loss:.3f}"
                ),
            )
        seconds = time.monotonic() - started
        model = Model(weights_of(network), ModelInfo(classes=1, mpp=MPP), "")
        scores = score_found(split.test, finder(model, ObjectsConfig(), bench.device, bench.threads))
        return {"scores": scores, "train_s": round(seconds, 1)}

    return [bench.cell("supervised", split.name, _sets(split) | dataclasses.asdict(config), compute)]


def pretext_row(bench: Bench, split: Split) -> list[dict[str, Any]]:
    """Train Scale Pretext, as far as it is asked for."""
    from harness.scale_pretext import ScalePretextConfig
    from harness.scale_pretext_training import attention_of, train_scale_pretext
    from wsiseg.training.reproducible import reproducible

    config = ScalePretextConfig(
        steps=bench.pretext_steps,
        patch_px=bench.pretext_patch_px,
        batch_size=bench.pretext_batch,
        seed=bench.seed,
    )

    def told(step: int, loss: float) -> bool:
        if step % max(1, config.steps // 20) == 0:
            bench.say(f"  step {step}/{config.steps}: loss {loss:.3f}")
        return True

    def compute() -> dict[str, Any]:
        started = time.monotonic()
        with reproducible(bench.threads):
            network = train_scale_pretext(
                [field.rgb for field in split.train], config, device=_device(bench), after_step=told
            )
        seconds = time.monotonic() - started
        network = network.to(_device(bench))
        scores = score_found(split.test, lambda field: _found(attention_of(network, field.rgb)))
        parameters = sum(p.numel() for p in network.parameters())
        return {"scores": scores, "train_s": round(seconds, 1), "parameters": parameters}

    return [bench.cell("scale-pretext", split.name, _sets(split) | dataclasses.asdict(config), compute)]


def paper_row(bench: Bench, split: Split, similarity: str = "mse") -> list[dict[str, Any]]:
    """Train the paper's method: repeats, each with epoch and channel chosen by the training labels."""
    row = "paper" if similarity == "mse" else f"paper-{similarity}"
    return fitted_cells(bench, split, row, {"preset": "paper", "similarity": similarity}, by_labels=True)


def default_row(bench: Bench, split: Split) -> list[dict[str, Any]]:
    """Train the default preset: no label is seen in training or choice; one model of all repeats."""
    return fitted_cells(bench, split, "default", {"preset": "default"}, by_labels=False)


def fitted_cells(
    bench: Bench,
    split: Split,
    row: str,
    changes: Mapping[str, Any],
    *,
    by_labels: bool,
    repeats: int | None = None,
) -> list[dict[str, Any]]:
    """Fit on the training fields and score: every repeat if chosen by labels, else the chosen model.

    The run goes on from where it was stopped; each repeat has its cell.
    """
    import wsiseg
    from wsiseg.training.fit_config import FitConfig
    from wsiseg.training.presets import preset

    asked: dict[str, Any] = {"seed": bench.seed, **changes}
    if by_labels:
        wanted = repeats or bench.repeats
        asked = {"mpp": MPP, "epochs": bench.epochs, "repeats": wanted, "invert": False, **asked}
    config = preset(asked.pop("preset"), **asked)
    settings = _sets(split) | {"config": config.to_json(), "by_labels": by_labels}
    # The number of repeats changes no repeat: a run is gone on with when more are asked for.
    same = {**settings, "config": {k: v for k, v in config.to_json().items() if k != "repeats"}}
    folder = bench.output / "runs" / f"{row}-{split.name}-{_digest(same)}"

    def fitted() -> None:
        labels = _label_folder(split.train, folder) if by_labels else None
        wsiseg.fit(
            [str(field.image) for field in split.train],
            folder,
            labels,
            slide_mpp=MPP,
            config=FitConfig(config, device=bench.device),
        )

    def scored(number: int | None) -> dict[str, Any]:
        model_folder = folder if number is None else folder / f"repeat-{number:02d}"
        if number is None or not _is_trained(model_folder, config.epochs):
            fitted()
        return _score_model(bench, split, model_folder, by_labels)

    if not by_labels:
        return [bench.cell(row, split.name, settings, lambda: scored(None))]
    return [
        bench.cell(row, f"{split.name}-repeat-{n:02d}", same | {"repeat": n}, lambda n=n: scored(n))
        for n in range(1, config.repeats + 1)
    ]


def _score_model(bench: Bench, split: Split, folder: Path, as_paper: bool) -> dict[str, Any]:
    """Score a model by the way of `predict`, and beside it as the paper's authors do."""
    from harness.authors import BATCH, dices
    from wsiseg.network.model import load_model

    model = load_model(folder)
    objects = PAPER_OBJECTS if as_paper else ObjectsConfig()
    scores = score_found(split.test, finder(model, objects, bench.device, bench.threads))
    if as_paper:
        for measure, at_once in (("dice_authors", BATCH), ("dice_alone", 1)):
            for name, value in dices(model, split.test, at_once).items():
                scores[name][measure] = value
    info = model.info
    seconds = sum(row["seconds"] for row in _metrics(folder))
    return {
        "scores": scores,
        "train_s": round(seconds, 1),
        "channel": info.channel,
        "epoch": info.training.get("epoch"),
        "validation_dice": validation_dice(folder) if as_paper else None,
        "model": model.sha256,
        "run": str(folder.relative_to(bench.output)),
    }


def _metrics(folder: Path) -> Iterator[dict[str, float]]:
    """Yield one row an epoch and repeat of a run's metrics.csv."""
    import csv

    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["channel"] == "0":
                yield {"epoch": float(row["epoch"]), "seconds": float(row["seconds"])}


def validation_dice(folder: Path) -> float:
    """Return a repeat's best Dice on the fixed crops of its labelled images, of any epoch and channel."""
    import csv

    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return max(float(row["dice"]) for row in csv.DictReader(file))


def _is_trained(folder: Path, epochs: int) -> bool:
    try:
        return max((row["epoch"] for row in _metrics(folder)), default=0) >= epochs
    except FileNotFoundError:
        return False


def _label_folder(fields: Sequence[Field], beside: Path) -> Path:
    """Return a folder that holds the labels of these fields and no others, for `fit --labels`."""
    folder = beside.with_name(f"{beside.name}-labels")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for field in fields:
        Image.fromarray(np.where(field.truth, 255, 0).astype(np.uint8)).save(folder / f"{field.name}.png")
    return folder


def _device(bench: Bench) -> str:
    from wsiseg.network.device import resolve_device

    return resolve_device(bench.device)


def _sets(split: Split) -> dict[str, Any]:
    as_authors = any(field.as_authors for field in (*split.train, *split.test))
    return {"train": _names(split.train), "test": _names(split.test), "as_authors": as_authors}


def _names(fields: Sequence[Field]) -> list[str]:
    return [field.name for field in fields]


def _digest(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


ROWS: dict[str, Callable[[Bench, Split], list[dict[str, Any]]]] = {
    "threshold": threshold_row,
    "script": script_row,
    "supervised": supervised_row,
    "scale-pretext": pretext_row,
    "paper": paper_row,
    "paper-ce": lambda bench, split: paper_row(bench, split, "ce"),
    "default": default_row,
}
