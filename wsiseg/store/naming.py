"""Which name a slide's outputs have in a folder that may hold those of another slide of the same name."""

from __future__ import annotations

from pathlib import Path

from wsiseg.errors import StoreError
from wsiseg.slides.sources import SlideSource, absolute, possible_names
from wsiseg.store.outputs import Outputs
from wsiseg.store.slide_store import SlideStore


def outputs_of(
    source: SlideSource,
    fingerprint: str | None,
    folder: Path,
    gzip: bool,
    taken: frozenset[str] = frozenset(),
) -> Outputs:
    """Return the outputs of a slide: those it has already under any of its names, else the first free name.

    A slide is the same if its path is, or what is in the file; so the name of a slide never changes, and a
    slide never meets the outputs of another.

    Parameters
    ----------
    source : SlideSource
        The slide as the user named it.
    fingerprint : str or None
        Of what is in the slide; None as long as it is not open.
    folder : Path
        The output folder.
    gzip : bool
        Whether the GeoJSON is compressed.
    taken : frozenset of str
        Names that other slides are being worked on under.
    """
    every = [Outputs(folder, name, gzip) for name in possible_names(source)]
    there = [_slide_there(outputs) for outputs in every]
    for field, mine in enumerate((absolute(source.path), fingerprint)):
        for outputs, found in zip(every, there, strict=True):
            if mine is not None and found is not None and found[field] in (None, mine):
                return outputs
    free = (
        outputs
        for outputs, found in zip(every, there, strict=True)
        if found is None and outputs.name not in taken
    )
    return next(free, every[-1])


def _slide_there(outputs: Outputs) -> tuple[str | None, str | None] | None:
    """Return path and fingerprint of the slide whose store has the name; no words where it does not say."""
    for path in (outputs.store, outputs.unfinished):
        if path.exists():
            try:
                stored = SlideStore(path).provenance
                return str(stored["slide"]), str(stored["identity"]["slide"])
            except (StoreError, KeyError, TypeError):
                return None, None
    return None
