"""The states of a finished run, and the choice of another channel or repeat among them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch

from wsiseg.errors import UsageError
from wsiseg.training.checkpoint import load_state
from wsiseg.training.config import TrainingConfig
from wsiseg.training.presets import consensus_config
from wsiseg.training.run_folder import RunFolder
from wsiseg.training.run_record import RunRecord
from wsiseg.training.selection import selected, write_model
from wsiseg.training.state import RepeatState


def read_states(folder: RunFolder, config: TrainingConfig) -> dict[int, RepeatState]:
    """Return the state of every repeat with at least one finished epoch, by its number from 1."""
    states = {}
    numbers = range(0 if config.consensus_epochs > 0 else 1, config.repeats + 1)
    for number in numbers:
        settings = config if number > 0 else consensus_config(config)
        state = load_state(folder.repeat(number), settings, max(0, number - 1), torch.device("cpu"))
        if state.history:
            states[number] = state
    return states


def reselect_run(output: str | os.PathLike[str], select: str) -> tuple[RunRecord, dict[int, RepeatState]]:
    """Put another channel or repeat of a run into its model file.

    Parameters
    ----------
    output : path-like
        The run folder.
    select : str
        "REPEAT:CHANNEL".

    Returns
    -------
    record : RunRecord
        With the new choice.
    states : dict of int to RepeatState

    Raises
    ------
    UsageError
        If there is no run, or no such repeat or channel in it.
    """
    folder = RunFolder(Path(output))
    record = folder.record()
    states = read_states(folder, record.config)
    if not states:
        raise UsageError(f"{folder.path}: no epoch of this run is finished; run `wsiseg fit` first")
    choice = selected(states, select)
    write_model(folder.path, states[choice.repeat], choice, record.config)
    record = replace(record, select=select, choice=choice, dice_whole_images=None)
    folder.write(record)
    return record, states
