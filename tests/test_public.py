"""What `import wsiseg` gives: the public functions alone, with the names of the command line."""

from __future__ import annotations

import inspect
from importlib.resources import files
from typing import Any

import pytest

import wsiseg
from wsiseg.cli.fit import command as fit_command
from wsiseg.cli.predict import command as predict_command
from wsiseg.config import ObjectsConfig, PredictConfig, predict_config
from wsiseg.errors import UsageError
from wsiseg.training.fit_config import FitConfig, fit_config
from wsiseg.training.presets import preset


def test_dir_lists_what_is_public() -> None:
    assert set(dir(wsiseg)) == {*wsiseg.__all__, "__doc__", "__name__"}
    assert all(hasattr(wsiseg, name) for name in wsiseg.__all__)
    assert files("wsiseg").joinpath("py.typed").is_file()


@pytest.mark.parametrize(("name", "command"), [("predict", predict_command), ("fit", fit_command)])
def test_functions_take_the_names_of_the_command_line(name: str, command: Any) -> None:
    options = {parameter.name for parameter in command.params} - {"as_json", "verbose", "quiet"}
    assert options <= inspect.signature(getattr(wsiseg, name)).parameters.keys()


def test_names_overrule_the_config_and_defaults_stay() -> None:
    given = PredictConfig(objects=ObjectsConfig(threshold=0.4, certainty=0.1), workers=3)
    changed = predict_config(given, threshold=0.5, tile_size=300, no_splitting=True, no_tissue=True)
    assert (changed.objects.threshold, changed.objects.certainty) == (0.5, 0.1)
    assert (changed.tile_px, changed.workers, changed.objects.split, changed.tissue.detect) == (
        300, 3, False, False,
    )  # fmt: skip
    assert predict_config() == PredictConfig()


def test_fit_takes_a_preset_and_changes_of_it() -> None:
    assert fit_config() == FitConfig()
    changed = fit_config(preset="paper", epochs=1, seed=3, workers=2, no_invert=True, overwrite=True)
    assert changed.training == preset("paper", epochs=1, seed=3, invert=False)
    assert (changed.workers, changed.overwrite) == (2, True)
    with pytest.raises(UsageError, match="there is no preset 'papers'"):
        fit_config(preset="papers")
