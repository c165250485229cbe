"""`wsiseg.fit`: training with its figures, contact sheet and report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from wsiseg.errors import UsageError
from wsiseg.machine.allocator import share_arenas
from wsiseg.training import run
from wsiseg.training.config import TrainingConfig, consensus_config
from wsiseg.training.observer import Observer
from wsiseg.training.run import FitResult, read_states
from wsiseg.training.run_folder import RunFolder
from wsiseg.training.selection import Choice
from wsiseg.training.state import FILE_NAME

REPORT = "report.html"


def fit(
    slides: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    config: TrainingConfig | None = None,
    labels: str | os.PathLike[str] | None = None,
    *,
    observer: Observer | None = None,
    **settings: Any,
) -> FitResult:
    """Train networks on slides or images without labels, choose one, and draw what came of it.

    Figures of each repeat, a contact sheet and a report go beside what `wsiseg.training.run.fit` leaves in
    the run folder.

    Parameters
    ----------
    slides : sequence of path-like
        Files, folders, globs, CSV lists or URLs.
    output : path-like
        The run folder.
    config : TrainingConfig, optional
        The default preset if left out.
    labels : path-like, optional
        Folder of labels, which choose epoch, channel and repeat and never train.
    observer : Observer, optional
        Is told of the progress.
    **settings
        reader, slide_mpp, tissue, device, workers, threads, jobs, max_minutes, select, prior, overwrite.

    Returns
    -------
    FitResult
    """
    share_arenas()
    result = run.fit(slides, output, config, labels, observer=observer, **settings)
    draw_run(RunFolder(result.output), result.choice)
    return result


def reselect(output: str | os.PathLike[str], select: str) -> Choice:
    """Put another repeat and channel, "REPEAT:CHANNEL", of a finished run into its model file."""
    choice = run.reselect(output, select)
    draw_run(RunFolder(Path(output)), choice)
    return choice


def redraw(output: str | os.PathLike[str]) -> Path:
    """Draw the figures, the contact sheet and the report of a run again; return the report.

    Raises
    ------
    UsageError
        If there is no run, or none of which a model was chosen.
    """
    folder = RunFolder(Path(output))
    folder.config()
    chosen: dict[str, Any] | None = (folder.read() or {}).get("chosen")
    if chosen is None:
        raise UsageError(f"{folder.path}: no model was chosen yet; go on with `wsiseg fit`")
    draw_run(folder, Choice(**{field.name: chosen[field.name] for field in fields(Choice)}))
    return folder.path / REPORT


def draw_run(folder: RunFolder, choice: Choice) -> None:
    """Draw the figures that are missing or older than their repeat, the contact sheet and the report."""
    from wsiseg.report.contact_sheet import cells, contact_sheet
    from wsiseg.report.training_figures import Samples, draw_repeat, save_figure
    from wsiseg.report.training_report import write_report

    config = folder.config()
    states = read_states(folder, config)
    samples = Samples.read(folder.samples)
    for number, state in states.items():
        path = folder.repeat(number)
        if not _is_newer(path / "figure4.png", path / FILE_NAME):
            settings = config if number else consensus_config(config)
            draw_repeat(path, state, settings, samples, number)
    rows = list(cells(states, samples, choice))
    save_figure(contact_sheet(rows, samples), folder.path / "contact-sheet.png")
    write_report(folder, states, samples, rows, choice)


def _is_newer(drawn: Path, made_from: Path) -> bool:
    return drawn.exists() and drawn.stat().st_mtime >= made_from.stat().st_mtime
