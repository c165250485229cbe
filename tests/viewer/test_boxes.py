"""The index of boxes, against looking at every box."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wsiseg.viewer.boxes import BoxIndex


@given(st.integers(0, 10_000), st.integers(0, 700), st.floats(0, 400), st.floats(0, 400), st.floats(0, 300))
def test_finds_what_brute_force_finds(seed: int, count: int, x: float, y: float, side: float) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-3, 300, (count, 2))
    size = rng.exponential(4, (count, 2))
    size[rng.random(count) < 0.01] = 150
    bounds = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
    bounds[rng.random(count) < 0.05] = np.nan
    x1, y1 = x + side, y + side / 2
    low, high = bounds[:, :2].astype(float), bounds[:, 2:].astype(float)
    expected = np.flatnonzero(((low <= (x1, y1)) & (high >= (x, y))).all(axis=1))
    assert BoxIndex(bounds).meeting(x, y, x1, y1).tolist() == expected.tolist()
