"""Another channel or repeat is chosen after the run."""

from __future__ import annotations

import pytest
from fitting import fit

from wsiseg.errors import UsageError
from wsiseg.network.model import load_model
from wsiseg.training.reselect import reselect_run

pytestmark = pytest.mark.slow


def test_another_channel_can_be_selected_later(images, config, tmp_path):
    folder = tmp_path / "run"
    first = fit(images, folder, config)
    other = 1 - first.choice.channel
    choice = reselect_run(folder, f"2:{other}")[0].choice
    assert (choice.repeat, choice.channel, choice.by) == (2, other, "user")
    info = load_model(folder).info
    assert (info.channel, info.training["repeat"]) == (other, 2)
    again = fit(images, folder, config)
    assert (again.choice.repeat, again.choice.channel) == (2, other)
    for wrong in ("3:0", "1:2", "best", "0:0"):
        with pytest.raises(UsageError, match="--select"):
            reselect_run(folder, wrong)
