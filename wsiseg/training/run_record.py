"""The record of a run in run.json, and whether another command may resume the run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from wsiseg.errors import UsageError
from wsiseg.training.comparison import Comparison
from wsiseg.training.config import TrainingConfig, from_json
from wsiseg.training.guided.prior import Prior
from wsiseg.training.observer import FitObserver
from wsiseg.training.selection import Choice
from wsiseg.training.sources import TrainingSource

FORMAT = 1


class OtherFormatError(Exception):
    """run.json is of another format than this version of wsiseg writes."""


@dataclass(frozen=True)
class RunRecord:
    """The record of a run, as run.json holds it.

    Parameters
    ----------
    state : str
        "running", "finished", "stopped" (the time was up) or "interrupted".
    config : TrainingConfig
        How the networks are trained.
    identity : dict
        What must be equal for the run to be resumed.
    slides, failures : list of dict
        Slides that are used, and those left out with the cause.
    labels : dict of str to str, or None
        Label file of each labelled image.
    threads : int
        CPU threads that train.
    device : str
        Where the networks are trained.
    versions : dict of str to str
        Of wsiseg, torch and Python.
    select : str or None
        "REPEAT:CHANNEL", where the user chose.
    choice : Choice or None
        What became the model, once there is one.
    dice_whole_images : float or None
        Dice of that choice over the whole labelled images.
    comparison : Comparison or None
        How that choice does beside the prior.
    """

    state: str
    config: TrainingConfig
    identity: dict[str, Any]
    slides: list[dict[str, Any]]
    failures: list[dict[str, str]]
    labels: dict[str, str] | None
    threads: int
    device: str
    versions: dict[str, str]
    select: str | None = None
    choice: Choice | None = None
    dice_whole_images: float | None = None
    comparison: Comparison | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        choice, dice = values.pop("choice"), values.pop("dice_whole_images")
        if choice is not None:
            values["chosen"] = asdict(choice) | ({} if dice is None else {"dice_whole_images": dice})
        if self.comparison is not None:
            values["comparison"] = asdict(self.comparison)
        return {"format": FORMAT, "command": "fit", **values, "config": self.config.to_json()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> RunRecord:
        """Return the record that `to_json` wrote.

        Raises
        ------
        OtherFormatError
            If it is of another format.
        KeyError, TypeError, AttributeError
            If it is something else.
        """
        if values.get("format") != FORMAT:
            raise OtherFormatError
        chosen = dict(values.get("chosen") or {})
        dice = chosen.pop("dice_whole_images", None)
        compared = values.get("comparison")
        built = ("config", "choice", "dice_whole_images", "comparison")
        known = [field.name for field in fields(cls) if field.name not in built]
        return cls(
            **{name: values[name] for name in known if name in values},
            config=from_json(values["config"]),
            choice=Choice(**chosen) if chosen else None,
            dice_whole_images=dice,
            comparison=None if compared is None else Comparison(**compared),
        )


def identity(
    config: TrainingConfig,
    sources: Sequence[TrainingSource],
    labels: Mapping[str, Path] | None,
    device: str,
    prior: Prior | None = None,
    label_images: Sequence[TrainingSource] | None = None,
) -> dict[str, Any]:
    """Return what must be equal for a run to be resumed; the number of repeats may change."""
    settings = {key: value for key, value in config.to_json().items() if key != "repeats"}
    return {
        "settings": json.loads(json.dumps(settings)),
        "slides": [[source.fingerprint, source.slide_mpp] for source in sources],
        "labels": None if labels is None else {name: _digest(file) for name, file in sorted(labels.items())},
        "label_images": None
        if label_images is None
        else [[source.fingerprint, source.slide_mpp] for source in label_images],
        "device": device,
        "prior": None if prior is None else prior.sha256,
    }


def check_same(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to resume a run with another identity.

    Raises
    ------
    UsageError
        With what differs and what to do.
    """
    differences = []
    for key, value in now["settings"].items():
        old = before["settings"].get(key)
        if old != value:
            differences.append(f"{key} was {old}, is now {value}")
    if before["slides"] != now["slides"]:
        differences.append(f"other slides ({len(before['slides'])} before, {len(now['slides'])} now)")
    if before["labels"] != now["labels"] or before.get("label_images") != now["label_images"]:
        differences.append("other labels")
    if before.get("prior") != now["prior"]:
        differences.append("another prior")
    if before["device"] != now["device"]:
        differences.append(f"device was {before['device']}, is now {now['device']}")
    if differences:
        raise UsageError(
            f"{folder}: holds a run of something else ({'; '.join(differences)}); give another folder, "
            "the same settings to resume it, or --overwrite to start afresh"
        )


def check_versions(
    folder: Path, before: Mapping[str, str], now: Mapping[str, str], observer: FitObserver
) -> None:
    """Refuse to resume a run of another version of wsiseg; warn if only torch differs.

    Raises
    ------
    UsageError
        With both versions.
    """
    if before.get("wsiseg") != now["wsiseg"]:
        raise UsageError(
            f"{folder}: started by wsiseg {before.get('wsiseg')}, this is {now['wsiseg']}; resume with "
            "that version, give another folder, or --overwrite to start afresh"
        )
    if before.get("torch") != now["torch"]:
        observer.message(
            f"started with torch {before.get('torch')}, resumed with {now['torch']}: the model may differ in "
            "the last digits from one trained with a single version"
        )


def _digest(path: Path) -> str:
    if path.is_dir():
        return hashlib.sha256(repr(sorted(os.listdir(path))).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()
