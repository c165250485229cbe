"""What the terminal says of a training whose repeats run side by side."""

from __future__ import annotations

import pytest

from wsiseg.cli.fit_progress import FitProgress
from wsiseg.training.state import EpochRecord


def record(epoch: int, *, skips: int = 0) -> EpochRecord:
    return EpochRecord(
        epoch=epoch, loss=1.5, skips=skips, steps=2, scores=(0.25, 0.75), inverted=(False, True), dice=None,
        seconds=1.0,
    )  # fmt: skip


def test_each_line_names_its_repeat(capsys):
    with FitProgress(repeats=2, epochs=2, consensus_epochs=1) as progress:
        for repeat in (0, 1):
            progress.repeat_started(repeat, repeat, 2)
        progress.step(0, 0, 0, 2, 1.5, 0)
        progress.step(1, 1, 0, 2, 1.5, 1)
        progress.epoch_done(1, record(2, skips=1), 1)
        progress.epoch_done(0, record(1), 0)
        progress.repeat_started(2, 0, 1)
        progress.epoch_done(2, record(1), 0)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "repeat 2/2 resumes after epoch 1"
    assert lines[1].startswith(
        "repeat 2/2 epoch 2/2: loss 1.5000, 1 of 2 steps skipped, channel 1, score 0.750"
    )
    assert lines[2].startswith(
        "repeat 1/2 epoch 1/2: loss 1.5000, 0 of 2 steps skipped, channel 0, score 0.250"
    )
    assert lines[3].startswith("consensus epoch 1/1: ")


@pytest.mark.parametrize(
    ("done", "says"),
    [
        ({0: 0}, "repeat 1/4"),
        ({0: 1, 1: 0}, "repeats 1 and 2 of 4"),
        ({0: 2, 1: 1, 2: 0, 3: 0}, "repeats 2, 3 and 4 of 4"),
        ({0: 2, 1: 2}, "repeat 2/4"),
        ({0: 2, 1: 2, 2: 2, 3: 2, 4: 0}, "consensus"),
    ],
)
def test_the_bar_says_which_are_in_training(done, says):
    progress = FitProgress(repeats=4, epochs=2)
    for repeat, epochs in done.items():
        progress.repeat_started(repeat, epochs, 2)
    assert progress._running() == says
