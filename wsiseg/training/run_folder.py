"""The folder of a run: the paths in it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wsiseg.errors import StoreError, UsageError
from wsiseg.machine.locks import BusyError, held_lock
from wsiseg.machine.marks import holds_predict, is_ours
from wsiseg.machine.replacing import refuse_foreign, write_output
from wsiseg.network.model import FILE_NAME as MODEL_FILE
from wsiseg.training.checkpoint import FILE_NAME as CHECKPOINT_FILE
from wsiseg.training.metrics import METRICS_FILE
from wsiseg.training.run_record import OtherFormatError, RunRecord

RUN_FILE = "run.json"
CONTACT_SHEET = "contact-sheet.png"
DRAWN = (CONTACT_SHEET, "report.html")
OF_REPEAT = (CHECKPOINT_FILE, METRICS_FILE, MODEL_FILE, "figure1.png", "figure4.png")
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

    @property
    def prior(self) -> Path:
        """The model that the chosen one was compared with."""
        return self.path / "prior" / MODEL_FILE

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
                # Partial files of a killed run.
                for place in (".", "repeat-[0-9]*", "consensus", "prior"):
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
        """Return the record in run.json, or None if there is none.

        Raises
        ------
        StoreError
            If it exists but cannot be understood.
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
            raise StoreError(f"{file}: cannot be read: {error}; move it away to start afresh") from error

    def write(self, record: RunRecord) -> None:
        """Write run.json."""
        text = json.dumps(record.to_json(), indent=2, sort_keys=True) + "\n"
        write_output(self.path / RUN_FILE, text.encode())

    def record(self) -> RunRecord:
        """Return the record of the run in the folder.

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
        """Remove the files of a run and nothing else; run.json last, as it identifies the others."""
        remove_ours([self.model])
        for folder in (*self.states(), self.prior.parent):
            self.clear_repeat(folder)
        remove_ours(self.path / name for name in (METRICS_FILE, SAMPLES_FILE, *DRAWN, RUN_FILE))

    def clear_repeat(self, folder: Path) -> None:
        """Remove a run's files from the folder of a repeat, and the folder if it is empty then."""
        remove_ours(folder.glob("*"))
        with suppress(OSError):
            folder.rmdir()

    def refuse_foreign(self, repeats: int, inputs: Iterable[str | os.PathLike[str]]) -> None:
        """Raise if a run would replace a file that wsiseg did not make, or an input.

        Raises
        ------
        UsageError
            Naming the files.
        """
        if holds_predict(self.path):
            raise UsageError(f"{self.path}: holds a run of `wsiseg predict`; choose another output folder")
        names = (MODEL_FILE, METRICS_FILE, SAMPLES_FILE, *DRAWN, RUN_FILE)
        targets = [self.prior, *(self.path / name for name in names)]
        for number in range(repeats + 1):
            targets += [self.repeat(number) / name for name in OF_REPEAT]
        refuse_foreign(targets, inputs)


def remove_ours(files: Iterable[Path]) -> None:
    """Delete those of the files that wsiseg made."""
    for file in files:
        if file.is_file() and is_ours(file):
            file.unlink()
