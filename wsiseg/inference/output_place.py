"""Where the outputs of a run go: a folder, or a bucket of an object store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsiseg.inference.place import Place
from wsiseg.slides.files import is_url, normalised


@contextmanager
def output_place(output: str | os.PathLike[str], work: Path) -> Iterator[Place]:
    """Give the place of an output folder or URL.

    Parameters
    ----------
    output : path-like
        A folder or URL.
    work : Path
        Folder in which the slides of a bucket are worked on, made if absent.

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

    with bucket(text, work) as place:
        yield place
