"""What `import wsiseg` gives: the public functions alone, with the names of the command line."""

from __future__ import annotations

import inspect
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import wsiseg
from wsiseg.cli.fit import command as fit_command
from wsiseg.cli.predict import command as predict_command
from wsiseg.config import ObjectsConfig, PredictConfig, predict_config
from wsiseg.errors import UsageError
from wsiseg.inference.outputs import SlideReport
from wsiseg.machine.marks import PREVIEW
from wsiseg.report.notebook import NotebookProgress, Reports
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


def test_results_show_themselves(tmp_path: Path) -> None:
    reports = Reports(
        [SlideReport("a", "/a.svs", nuclei=1234), SlideReport("<b>", "/b.svs", "failed", "cut off")], tmp_path
    )
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / f"a{PREVIEW}")
    assert repr(reports).splitlines() == [
        f"1 of 2 slides done in {tmp_path}",
        "<SlideReport a: done, 1,234 nuclei, 0 per mm2>",
        "<SlideReport <b>: failed: cut off>",
    ]
    page = reports._repr_html_()
    assert page.count("<tr>") == 3
    assert page.count("<img ") == 1
    assert "<td>&lt;b&gt;</td>" in page


def test_a_notebook_sees_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    from IPython import display

    seen: list[str] = []

    class Handle:
        def update(self, html: Any) -> None:
            seen.append(html.data)

    monkeypatch.setattr(display, "display", lambda *_, **__: Handle())
    progress = NotebookProgress()
    progress.run_started(2)
    progress.slide_started("a", 4.0, 1.0)
    progress.advanced(1.0, 7)
    progress.phase("writing polygons")
    progress.slide_ended(SlideReport("a", "/a.svs", nuclei=7))
    assert seen[1] == '<progress max="1" value="0.250"></progress> 0 of 2 slides; a: finding nuclei, 7 nuclei'
    assert "writing polygons" in seen[2]
    assert seen[3] == '<progress max="1" value="0.500"></progress> 1 of 2 slides; a: done, 7 nuclei'
