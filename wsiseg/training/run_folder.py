"""The folder of a run: what lies where in it, what it was made from, and whether it may be gone on with."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsiseg.errors import StoreError, UsageError
from wsiseg.machine.locks import BusyError, held_lock
from wsiseg.machine.whole import write_whole
from wsiseg.network.model import FILE_NAME as MODEL_FILE
from wsiseg.training.config import TrainingConfig, from_json
from wsiseg.training.guided.prior import Prior
from wsiseg.training.observer import Observer
from wsiseg.training.sources import TrainingSource
from wsiseg.training.state import FILE_NAME as RUN_FILE_OF_REPEAT
from wsiseg.training.state import EpochRecord

RUN_FILE = "run.json"
METRICS_FILE = "metrics.csv"
SAMPLES_FILE = "samples.safetensors"
FORMAT = 1
COLUMNS = (
    "repeat", "epoch", "channel", "score", "inverted", "dice", "loss", "skips", "steps", "seconds", "kept"
)  # fmt: skip


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run folder.

    Parameters
    ----------
    path : Path
        The folder.
    """

    path: Path

    @property
    def model(self) -> Path:
        """The chosen model."""
        return self.path / MODEL_FILE

    @property
    def samples(self) -> Path:
        """Sample crops for the contact sheet."""
        return self.path / SAMPLES_FILE

    def repeat(self, number: int) -> Path:
        """Folder of a repeat, counted from 1, or of the consensus, 0."""
        if number == 0:
            return self.path / "consensus"
        return self.path / f"repeat-{number:02d}"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Make the folder and keep other runs out of it.

        Raises
        ------
        StoreError
            If another run is in it, or it cannot be written, now or later.
        """
        with ExitStack() as stack:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                stack.enter_context(held_lock(self.path / ".fit.lock"))
                # What a run that was killed had begun to write.
                for place in (".", "repeat-[0-9]*", "consensus"):
                    for leftover in self.path.glob(f"{place}/.*.part"):
                        leftover.unlink(missing_ok=True)
                yield
            except BusyError as error:
                raise StoreError(f"{self.path}: {error}; wait for it, or give another folder") from error
            except OSError as error:
                raise StoreError(
                    f"{self.path}: cannot be written: {error.strerror or error}; what is done is kept, the "
                    "same command goes on from there"
                ) from error

    def read(self) -> dict[str, Any] | None:
        """Return run.json, or None where there is none.

        Raises
        ------
        StoreError
            If it is there and cannot be understood.
        """
        file = self.path / RUN_FILE
        try:
            described = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(f"{file}: cannot be read: {error}; use --overwrite to start anew") from error
        if not isinstance(described, dict) or described.get("format") != FORMAT:
            raise StoreError(
                f"{file}: written by another version of wsiseg; use another folder or --overwrite"
            )
        return described

    def write(self, described: Mapping[str, Any]) -> None:
        """Write run.json."""
        text = json.dumps({"format": FORMAT, **described}, indent=2, sort_keys=True) + "\n"
        write_whole(self.path / RUN_FILE, text.encode())

    def config(self) -> TrainingConfig:
        """Return the configuration of the run that is here.

        Raises
        ------
        UsageError
            If there is no run.
        """
        described = self.read()
        if described is None:
            raise UsageError(f"{self.path}: no run of `wsiseg fit` there")
        return from_json(described["config"])

    def states(self) -> list[Path]:
        """Return the folders of repeats that have a checkpoint."""
        folders = (*self.path.glob("repeat-[0-9]*"), self.repeat(0))
        return [folder for folder in folders if (folder / RUN_FILE_OF_REPEAT).exists()]

    def clear(self) -> None:
        """Remove what a run left, and nothing else; run.json last, which says what the rest is of."""
        (self.path / MODEL_FILE).unlink(missing_ok=True)
        for folder in self.states():
            shutil.rmtree(folder)
        for name in (METRICS_FILE, SAMPLES_FILE, "contact-sheet.png", "report.html", RUN_FILE):
            (self.path / name).unlink(missing_ok=True)


def identity(
    config: TrainingConfig,
    sources: Sequence[TrainingSource],
    labels: Mapping[str, Path] | None,
    device: str,
    prior: Prior | None = None,
) -> dict[str, Any]:
    """Return what must be the same for a run to be gone on with; the number of repeats may change."""
    settings = {key: value for key, value in config.to_json().items() if key != "repeats"}
    return {
        "settings": json.loads(json.dumps(settings)),
        "slides": [[source.fingerprint, source.slide_mpp] for source in sources],
        "labels": None if labels is None else {name: _digest(file) for name, file in sorted(labels.items())},
        "device": device,
        "prior": None if prior is None else prior.sha256,
    }


def check_same(folder: RunFolder, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with a run of something else.

    Raises
    ------
    UsageError
        In words: what differs, and what to do.
    """
    differences = []
    for key, value in now["settings"].items():
        old = before["settings"].get(key)
        if old != value:
            differences.append(f"{key} was {old}, is now {value}")
    if before["slides"] != now["slides"]:
        differences.append(f"other slides ({len(before['slides'])} before, {len(now['slides'])} now)")
    if before["labels"] != now["labels"]:
        differences.append("other labels")
    if before.get("prior") != now["prior"]:
        differences.append("another prior")
    if before["device"] != now["device"]:
        differences.append(f"device was {before['device']}, is now {now['device']}")
    if differences:
        raise UsageError(
            f"{folder.path}: holds a run of something else ({'; '.join(differences)}); give another folder, "
            "the same settings to go on with it, or --overwrite to start anew"
        )


def check_versions(
    folder: RunFolder, before: Mapping[str, str], now: Mapping[str, str], observer: Observer
) -> None:
    """Refuse to go on with what another version of wsiseg began; say it where only torch is another.

    Raises
    ------
    UsageError
        With both versions.
    """
    if before.get("wsiseg") != now["wsiseg"]:
        raise UsageError(
            f"{folder.path}: begun by wsiseg {before.get('wsiseg')}, this is {now['wsiseg']}; go on with "
            "that version, give another folder, or --overwrite to start anew"
        )
    if before.get("torch") != now["torch"]:
        observer.message(
            f"begun with torch {before.get('torch')}, goes on with {now['torch']}: the model may differ in "
            "its last digits from that of a run with one of them"
        )


def metrics_rows(number: int, history: Sequence[EpochRecord]) -> list[dict[str, Any]]:
    """Return the rows of metrics.csv for a repeat, one an epoch and channel."""
    rows = []
    classes = len(history[0].scores) if history else 0
    best = [max(history, key=lambda record: record.value(k)).epoch for k in range(classes)]
    for record in history:
        for channel in range(classes):
            rows.append(
                {
                    "repeat": number,
                    "epoch": record.epoch,
                    "channel": channel,
                    "score": f"{record.scores[channel]:.6f}",
                    "inverted": int(record.inverted[channel]),
                    "dice": "" if record.dice is None else f"{record.dice[channel]:.6f}",
                    "loss": "" if record.loss is None else f"{record.loss:.6f}",
                    "skips": record.skips,
                    "steps": record.steps,
                    "seconds": f"{record.seconds:.3f}",
                    "kept": int(record.epoch == best[channel]),
                }
            )
    return rows


def write_metrics(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write metrics.csv into a folder."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(folder / METRICS_FILE, text.getvalue().encode())


def _digest(path: Path) -> str:
    if path.is_dir():
        return hashlib.sha256(repr(sorted(os.listdir(path))).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()
