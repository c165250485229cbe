"""What the report counts is what the table holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_outputs import write_slide

from wsiseg.report.slide_numbers import Lattice, Spread, count_up
from wsiseg.slides.tissue import Tissue
from wsiseg.store.identity import FrameInfo
from wsiseg.store.slide_store import SlideStore


def test_numbers_are_those_of_the_table(out: Path) -> None:
    outputs = write_slide(out)
    numbers = count_up(outputs.parquet, SlideStore(outputs.store).frame)
    assert numbers.nuclei == numbers.in_square.sum() == numbers.in_cell.sum() == 100
    assert numbers.area.quantile(0.5) == pytest.approx(16.0, abs=0.3)
    assert numbers.circularity.quantile(0.5) == pytest.approx(0.785, abs=0.005)
    # 300 um in squares of 50; centroids are at 12, 27, ... 147 um: 3, 3 and 4 along a side.
    assert (numbers.squares.rows, numbers.squares.cols) == (6, 6)
    assert numbers.in_square.reshape(6, 6)[:3, :3].tolist() == [[9, 9, 12], [9, 9, 12], [12, 12, 16]]


def test_density_is_per_mm2_of_tissue(out: Path) -> None:
    outputs = write_slide(out, squares=19)
    store = SlideStore(outputs.store)
    numbers = count_up(outputs.parquet, store.frame)
    density = numbers.density(store.tissue, store.frame)
    # Square (1, 1) is all tissue; (0, 3) has nuclei and no tissue: it counts as a quarter of one.
    assert density[1, 1] == pytest.approx(9 / 0.0025)
    assert density[0, 3] == pytest.approx(9 / (0.25 * 0.0025))
    empty = count_up(write_slide(out, "empty", squares=0).parquet, store.frame)
    assert np.isnan(empty.density(store.tissue, store.frame)[:, 3:]).all()
    assert (empty.density(store.tissue, store.frame)[:, :3] == 0).all()


def test_tissue_shares_are_areas() -> None:
    mask = np.array([[True, False], [False, False]])
    shares = Lattice(1, 3, 10.0, 20.0).tissue_shares(Tissue(mask, 30.0), FrameInfo(60, 40, 0.5, 1.0))
    # A mask pixel is 15 um: the first column of cells (0 to 10 um) is tissue down to 15 of 20 um.
    assert shares == pytest.approx(np.array([[0.75, 0.375, 0.0]]))


def test_spreads_count_everything_once() -> None:
    spread = Spread(10.0, 20)
    spread.add(np.array([0.0, 0.49, 5.0, 99.0, np.nan, -1.0]))
    assert spread.counts.sum() == 5
    assert (spread.counts[0], spread.counts[10], spread.counts[-1]) == (3, 1, 1)
    assert Spread(1.0, 10).quantile(0.5) is None
