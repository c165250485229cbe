"""The charts of a page."""

from __future__ import annotations

import numpy as np
import pytest

from wsiseg.report.charts import curves, histogram, nice_ticks, nice_top
from wsiseg.report.slide_numbers import Spread


def test_ticks_are_round() -> None:
    assert nice_ticks(0, 1, 5) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert nice_ticks(3, 3, 5) == [3]
    assert [nice_top(v) for v in (0, 0.9, 1.2, 7, 9.5, 4321)] == [1, 1, 1.5, 8, 10, 5000]


def test_a_histogram_shows_each_nucleus_once() -> None:
    spread = Spread(1000.0, 2000)
    spread.add(np.concatenate([np.linspace(10, 60, 997), [0.1, 900.0, 5000.0]]))
    chart = histogram("Area", "µm²", spread)
    counts = [int(bar.tip.split(": ")[1].split(" nuclei")[0].replace(",", "")) for bar in chart.bars]
    assert sum(counts) == 1000
    assert len(chart.bars) <= 40
    assert chart.bars[-1].x + chart.bars[-1].width == pytest.approx(chart.width, abs=0.1)
    assert "Median 35" in chart.summary


def test_a_histogram_of_one_value_has_bars() -> None:
    spread = Spread(1.0, 200)
    spread.add(np.ones(5))
    chart = histogram("Circularity", "", spread)
    assert sum(bar.height > 0 for bar in chart.bars) == 1
    assert max(bar.x + bar.width for bar in chart.bars) <= chart.width + 0.1


def test_curves_break_where_nothing_was_recorded() -> None:
    chart = curves("Loss", "", "", [("Repeat 1", True, [1.0, None, 3.0, 2.0]), ("Repeat 2", False, [2.0])])
    (other, chosen) = chart.lines
    assert chosen.name == "Repeat 1"
    assert chosen.path.count("M") == 2
    assert other.path.endswith("h3")
    assert chart.values is not None
    assert chart.values["epoch"] == [1, 2, 3, 4]
    assert curves("Loss", "", "", [("Repeat 1", True, [None])]).lines == ()
