"""Makes sure that a run replaces neither files that wsiseg did not write nor the inputs of any run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from wsiseg.config import PredictConfig
from wsiseg.errors import UsageError
from wsiseg.inference.place import Place
from wsiseg.inference.run_log import RUN, SUMMARY, rows_before, run_before
from wsiseg.machine.marks import holds_fit, is_our_store
from wsiseg.machine.replacing import refusal
from wsiseg.slides.sources import SlideSource
from wsiseg.store.naming import outputs_of
from wsiseg.store.outputs import INDEX, ONE_TABLE, Outputs


def refuse_harm(sources: Sequence[SlideSource], place: Place, config: PredictConfig) -> None:
    """Raise, before any work, if a run would replace an input or a file that wsiseg did not write.

    Parameters
    ----------
    sources : sequence of SlideSource
        The slides, in order.
    place : Place
        Where outputs go.
    config : PredictConfig
        How `predict` runs.

    Raises
    ------
    UsageError
        Naming the files.
    """
    folder = place.folder
    if holds_fit(folder):
        raise UsageError(f"{folder}: holds a run of `wsiseg fit`; choose another output folder")
    names = [SUMMARY, RUN, *([INDEX] if "report" in config.only else [])]
    names += [ONE_TABLE] if config.one_table else []
    targets = [folder / name for name in names]
    for source in sources:
        outputs = outputs_of(source, None, folder, config)
        targets += replaced_by(outputs, config)
        if config.one_table and outputs.parquet.name == ONE_TABLE:
            raise UsageError(f"{source.path}: its table would be {ONE_TABLE}, as --one-table's; rename it")
    found = place.foreign(targets, inputs_of(sources, folder, config))
    if found:
        raise UsageError(refusal(found))


def inputs_of(sources: Sequence[SlideSource], folder: Path, config: PredictConfig) -> list[str]:
    """Return the inputs of a run and of the earlier ones in the folder."""
    drawn = [config.tissue.mask, config.tissue.regions, *(source.regions for source in sources)]
    return [*(source.path for source in sources), *(path for path in drawn if path), *_inputs_before(folder)]


def replaced_by(outputs: Outputs, config: PredictConfig) -> list[Path]:
    """Return the files of a slide that `predict` would write; for a finished slide those that are missing."""
    if not config.overwrite and outputs.store.is_dir() and is_our_store(outputs.store):
        return []
    parts = outputs.geojson_files() if config.split is not None else []
    return [outputs.store, outputs.unfinished, *outputs.files, *parts]


def _inputs_before(folder: Path) -> Iterator[str]:
    """Yield the inputs of earlier runs in a folder."""
    yield from (str(row["path"]) for row in rows_before(folder))
    mask = ((run_before(folder).get("config") or {}).get("tissue") or {}).get("mask")
    if mask:
        yield str(mask)
