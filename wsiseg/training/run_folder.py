"""The folder of a run: what lies where in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from wsiseg.errors import StoreError, UsageError
from wsiseg.machine.locks import BusyError, held_lock
from wsiseg.machine.whole import write_whole
from wsiseg.network.model import FILE_NAME as MODEL_FILE
from wsiseg.training.checkpoint import FILE_NAME as CHECKPOINT_FILE
from wsiseg.training.metrics import METRICS_FILE
from wsiseg.training.run_record import OtherFormatError, RunRecord

RUN_FILE = "run.json"
SAMPLES_FILE = "samples.safetensors"


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
                    f"{self.path}: cannot be written: {error.strerror or error}; what is done is kept: "
                    "repeat the command to resume"
                ) from error

    def read(self) -> RunRecord | None:
        """Return what run.json says, or None where there is none.

        Raises
        ------
        StoreError
            If it is there and cannot be understood.
        """
        file = self.path / RUN_FILE
        try:
            return RunRecord.from_json(json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except OtherFormatError:
            raise StoreError(
                f"{file}: written by another version of wsiseg; use another folder or --overwrite"
            ) from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(f"{file}: cannot be read: {error}; use --overwrite to start afresh") from error

    def write(self, record: RunRecord) -> None:
        """Write run.json."""
        text = json.dumps(record.to_json(), indent=2, sort_keys=True) + "\n"
        write_whole(self.path / RUN_FILE, text.encode())

    def record(self) -> RunRecord:
        """Return what run.json says of the run that is here.

        Raises
        ------
        UsageError
            If there is no run.
        """
        record = self.read()
        if record is None:
            raise UsageError(f"{self.path}: no run of `wsiseg fit` there")
        return record

    def states(self) -> list[Path]:
        """Return the folders of repeats that have a checkpoint."""
        folders = (*self.path.glob("repeat-[0-9]*"), self.repeat(0))
        return [folder for folder in folders if (folder / CHECKPOINT_FILE).exists()]

    def clear(self) -> None:
        """Remove what a run left, and nothing else; run.json last, which says what the rest is of."""
        (self.path / MODEL_FILE).unlink(missing_ok=True)
        for folder in self.states():
            shutil.rmtree(folder)
        for name in (METRICS_FILE, SAMPLES_FILE, "contact-sheet.png", "report.html", RUN_FILE):
            (self.path / name).unlink(missing_ok=True)
