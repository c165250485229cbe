"""Memory is bounded by tiles in flight, not by the slide; benchmarks/memory.py measures large slides."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from command_line import command_environment

from wsiseg.synthetic import SyntheticSlide, write_synthetic

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads peaks of processes from /proc")
def test_a_larger_slide_takes_no_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from harness.memory import measured

    peaks_mb = []
    for side in (3072, 6144):
        slide = SyntheticSlide(side, side, seed=2, tissue_share=0.4, pen=False)
        path = write_synthetic(tmp_path / f"{side}.svs", slide)
        given = ("predict", path, "-o", tmp_path / "out", "-w", 2, "--tile-size", 512, "-q", "-d", "cpu")
        done = measured([sys.executable, "-m", "wsiseg", *given], env=command_environment())
        assert done.returncode == 0
        peaks_mb.append(done.peak_mb)
    assert 100 < peaks_mb[1] < 1200
    # The smaller one is over before its memory has levelled off.
    assert peaks_mb[1] < 1.3 * peaks_mb[0]
