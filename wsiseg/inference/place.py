"""Where outputs go: a folder, or a bucket of an object store behind one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from wsiseg.inference.outputs import Outputs
from wsiseg.machine.locks import wait_for_sign
from wsiseg.slides.files import is_url, normalised
from wsiseg.slides.sources import SlideSource


class Place:
    """A folder of outputs.

    Parameters
    ----------
    folder : Path
        Where a run writes; for a bucket what is sent there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

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
        wait_for_sign(Outputs(self.folder, name).lock)


@contextmanager
def output_place(output: str | os.PathLike[str]) -> Iterator[Place]:
    """Give the place of an output folder or URL.

    Raises
    ------
    StoreError
        If nothing can be written there.
    """
    text = normalised(output)
    if not is_url(text):
        yield Place(Path(text))
        return
    from wsiseg.inference.bucket import bucket

    with bucket(text) as place:
        yield place
