"""Where outputs go: a folder; `bucket` derives a bucket from it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from wsiseg.machine.lock_file import LockFile
from wsiseg.machine.locks import wait_for_sign
from wsiseg.machine.replacing import foreign
from wsiseg.slides.sources import SlideSource
from wsiseg.store.outputs import Outputs


class Place:
    """A folder of outputs.

    Parameters
    ----------
    folder : Path
        Where a run writes; for a bucket the local folder that is uploaded.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def foreign(self, targets: Iterable[Path], inputs: Iterable[str]) -> list[str]:
        """Return those of the targets, paths in the folder, that must not be replaced."""
        return [str(path) for path in foreign(targets, inputs)]

    def turn(self, source: SlideSource) -> AbstractContextManager[None]:
        """Hold a slide while it is worked on, where its lock file in the folder is not enough.

        Raises
        ------
        BusyError
            If another run holds it.
        """
        return nullcontext()

    def wait_for_sign(self, source: SlideSource, name: str) -> None:
        """Wait until the run that has a slide releases it, shows that it is alive, or is known to be dead."""
        wait_for_sign(LockFile(Outputs(self.folder, name).lock))
