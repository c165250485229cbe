"""The pictures of a training run: figures of each repeat, the contact sheet and the report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from wsiseg.errors import UsageError
from wsiseg.report.contact_sheet import cells, contact_sheet
from wsiseg.report.training_figures import Samples, draw_repeat, save_figure
from wsiseg.report.training_report import write_report
from wsiseg.training.checkpoint import FILE_NAME
from wsiseg.training.presets import consensus_config
from wsiseg.training.reselect import read_states
from wsiseg.training.run_folder import RunFolder
from wsiseg.training.run_record import RunRecord
from wsiseg.training.state import RepeatState

REPORT = "report.html"


def redraw(output: str | os.PathLike[str]) -> Path:
    """Redraw the figures, the contact sheet and the report of a run; return the report.

    Raises
    ------
    UsageError
        If there is no run, or its model has not been chosen.
    """
    folder = RunFolder(Path(output))
    record = folder.record()
    if record.choice is None:
        raise UsageError(f"{folder.path}: no model was chosen yet; resume with `wsiseg fit`")
    draw_run(folder, record, read_states(folder, record.config))
    return folder.path / REPORT


def draw_run(folder: RunFolder, record: RunRecord, states: Mapping[int, RepeatState]) -> None:
    """Draw the figures that are missing or older than their repeat, the contact sheet and the report.

    Parameters
    ----------
    folder : RunFolder
        The run to draw.
    record : RunRecord
        The record of a run whose model has been chosen.
    states : mapping of int to RepeatState
        By repeat number, 0 for the consensus.
    """
    assert record.choice is not None
    samples = Samples.read(folder.samples)
    for number, state in states.items():
        path = folder.repeat(number)
        if not _is_newer(path / "figure4.png", path / FILE_NAME):
            settings = record.config if number else consensus_config(record.config)
            draw_repeat(path, state, settings, samples, number)
    rows = list(cells(states, samples, record.choice))
    save_figure(contact_sheet(rows, samples), folder.path / "contact-sheet.png")
    write_report(folder, record, states, samples, rows)


def _is_newer(drawn: Path, made_from: Path) -> bool:
    return drawn.exists() and drawn.stat().st_mtime >= made_from.stat().st_mtime
