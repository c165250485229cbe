"""Where outputs go: a folder, or what a bucket derives from it."""

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
        Where a run writes; for a bucket what is sent there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def foreign(self, targets: Iterable[Path], inputs: Iterable[str]) -> list[str]:
        """Return the targets, paths in the folder, that must not be replaced; see `wsiseg.machine.marks`."""
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
        """Wait until the run that has a slide is done with it, or has shown that it lives, or is dead."""
        wait_for_sign(LockFile(Outputs(self.folder, name).lock))
