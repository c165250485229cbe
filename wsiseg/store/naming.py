"""Which name a slide's outputs get in a folder that may hold a different slide of the same name."""

from __future__ import annotations

from pathlib import Path

from wsiseg.config import PredictConfig
from wsiseg.errors import StoreError
from wsiseg.slides.sources import SlideSource, absolute, possible_names
from wsiseg.store.outputs import Outputs
from wsiseg.store.slide_store import SlideStore


def outputs_of(
    source: SlideSource,
    fingerprint: str | None,
    folder: Path,
    config: PredictConfig,
    taken: frozenset[str] = frozenset(),
) -> Outputs:
    """Return the outputs of a slide: existing ones under any of its names, else the first free name.

    A slide is recognised by its path or its content; so the name of a slide never changes, and a
    slide never gets the outputs of another.

    Parameters
    ----------
    source : SlideSource
        The slide as the user named it.
    fingerprint : str or None
        Fingerprint of the slide's content; None if it is not open.
    folder : Path
        The output folder.
    config : PredictConfig
        Which files there are of a slide.
    taken : frozenset of str
        Names under which other slides are being processed.
    """
    every = [Outputs(folder, name, config.gzip, config.only) for name in possible_names(source)]
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
    """Return path and fingerprint of the slide whose store has the name; None for what it does not record."""
    for path in (outputs.store, outputs.unfinished):
        if path.exists():
            try:
                stored = SlideStore(path).provenance
                return str(stored["slide"]), str(stored["identity"]["slide"])
            except (StoreError, KeyError, TypeError):
                return None, None
    return None
