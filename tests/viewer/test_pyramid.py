"""Tiles of the viewer's pyramid: every pixel once, the last level is one tile."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsiseg.viewer.pyramid import TILE_PX, Pyramid


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_tiles_of_a_level_cover_it_once(width: int, height: int) -> None:
    pyramid = Pyramid(width, height)
    for level in range(pyramid.levels):
        columns, rows = pyramid.size(level)
        covered = np.zeros((-(-rows // TILE_PX), -(-columns // TILE_PX)), int)
        pixels = 0
        for row, col in np.ndindex(covered.shape):
            box = pyramid.box(level, col, row)
            assert (box.x0, box.y0) == (col * TILE_PX, row * TILE_PX)
            pixels += box.width * box.height
        assert pixels == columns * rows
    assert max(pyramid.size(pyramid.levels - 1)) <= TILE_PX
    assert pyramid.levels == 1 or max(pyramid.size(pyramid.levels - 2)) > TILE_PX


@pytest.mark.parametrize("place", [(-1, 0, 0), (2, 0, 0), (0, 3, 0), (0, 0, 2), (0, -1, 0), (10**9, 0, 0)])
def test_other_tiles_do_not_exist(place: tuple[int, int, int]) -> None:
    assert Pyramid(1024, 1024).levels == 2
    with pytest.raises(LookupError):
        Pyramid(1024, 1024).box(*place)
