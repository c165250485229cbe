"""Results and progress as a notebook shows them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from wsiseg.inference.slide_report import SlideReport
from wsiseg.machine.marks import PREVIEW
from wsiseg.report.notebook import NotebookProgress, Reports
from wsiseg.report.notebook_fit import FitNotebookProgress
from wsiseg.training.state import EpochRecord


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what a cell shows, one entry an update."""
    from IPython import display

    shown: list[str] = []
    handle = SimpleNamespace(update=lambda html: shown.append(html.data))
    monkeypatch.setattr(display, "display", lambda *_, **__: handle)
    return shown


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


def test_predict_moves_a_bar(seen: list[str]) -> None:
    progress = NotebookProgress()
    progress.run_started(2)
    progress.slide_started("a", 4.0, 1.0)
    progress.advanced(1.0, 7)
    progress.phase("writing polygons")
    progress.slide_ended(SlideReport("a", "/a.svs", nuclei=7))
    assert seen[1] == '<progress max="1" value="0.250"></progress> 0 of 2 slides; a: finding nuclei, 7 nuclei'
    assert "writing polygons" in seen[2]
    assert seen[3] == '<progress max="1" value="0.500"></progress> 1 of 2 slides; a: done, 7 nuclei'


def test_fit_moves_a_bar(seen: list[str]) -> None:
    progress = FitNotebookProgress(repeats=2, epochs=4, consensus_epochs=8)
    progress.message("3 slides & images")
    progress.repeat_started(0, 2, 4)
    progress.epoch_done(0, EpochRecord(3, 0.5, 0, 5, (0.81234,), (False,), None, 1.0), 0)
    progress.step(2, 3, 4, 5, 0.5, 0)
    progress.epoch_done(2, EpochRecord(4, 0.5, 0, 5, (0.9,), (False,), (0.7,), 1.0), 0)
    assert seen[0] == '<progress max="1" value="0.000"></progress> 3 slides &amp; images'
    assert seen[1] == '<progress max="1" value="0.125"></progress> repeat 1 of 2'
    assert seen[2].endswith("repeat 1 of 2, epoch 3: score 0.812")
    assert seen[-1] == (
        '<progress max="1" value="0.375"></progress> consensus, epoch 4: score 0.900, Dice 0.700'
    )
