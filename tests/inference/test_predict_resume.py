"""Invariant 4: a run that was stopped at any moment and started again ends as one that never was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from outputs import digests, predicted

from wsiseg.inference import pipeline
from wsiseg.inference.observer import PredictObserver
from wsiseg.inference.pipeline import compute_block, compute_tile
from wsiseg.store.states import Key

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, svs_slide: Path, model_file: Path
) -> dict[str, str]:
    out = tmp_path_factory.mktemp("undisturbed")
    predicted(svs_slide, out, model_file, tile_px=256)
    return digests(out)


class Killed(BaseException):
    """Ends a run wherever it is."""


class StopAfter(PredictObserver):
    """Stop the run after some results or at the start of a phase."""

    def __init__(self, results: int = -1, phase: str = "") -> None:
        self.results, self.at_phase = results, phase

    def advanced(self, megapixels: float, nuclei: int) -> None:
        self.results -= 1
        if self.results == 0:
            raise Killed

    def phase(self, name: str) -> None:
        if name == self.at_phase:
            raise Killed


@pytest.mark.parametrize(
    "stop",
    [
        {"results": 1},
        {"results": 4},
        {"results": 20},
        {"phase": "writing polygons"},
        {"phase": "writing labels"},
    ],
)
def test_a_stopped_run_is_resumed_and_nothing_is_computed_twice(
    tmp_path: Path,
    svs_slide: Path,
    model_file: Path,
    undisturbed: dict[str, str],
    stop: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    computed: list[Key] = []

    def counted(stage: Any) -> Any:
        def run(job: Any, key: Key) -> Any:
            result = stage(job, key)
            computed.append(key)
            return result

        return run

    monkeypatch.setattr(pipeline, "compute_block", counted(compute_block))
    monkeypatch.setattr(pipeline, "compute_tile", counted(compute_tile))
    with pytest.raises(Killed):
        predicted(svs_slide, tmp_path, model_file, tile_px=256, observer=StopAfter(**stop))
    assert not (tmp_path / "slide.zarr").exists()
    (report,) = predicted(svs_slide, tmp_path, model_file, tile_px=256)
    assert report.state == "done"
    assert digests(tmp_path) == undisturbed
    assert len(computed) == len(set(computed)) > 20
