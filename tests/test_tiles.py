"""The tile arithmetic: cores cover the frame once, windows hold their cores."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wsiseg.tiles import Box, Grid

SIDES = st.integers(1, 60)


@settings(deadline=None)
@given(SIDES, SIDES, st.integers(1, 70), st.integers(0, 30))
def test_cores_cover_the_frame_once_and_lie_where_they_say(
    width: int, height: int, core_px: int, halo_px: int
) -> None:
    grid = Grid(width, height, core_px)
    seen = np.zeros((height, width), np.int32)
    places = np.arange(height * width).reshape(height, width)
    for tile in grid:
        core = tile.core.slices_in(grid.frame)
        seen[core] += 1
        window = tile.core.grown(halo_px).clipped(grid.frame)
        np.testing.assert_array_equal(
            places[window.slices_in(grid.frame)][tile.core.slices_in(window)], places[core]
        )
        assert tile == grid.tile(tile.row, tile.col)
    assert (seen == 1).all()
    assert len(list(grid)) == grid.shape[0] * grid.shape[1]


@settings(deadline=None)
@given(SIDES, SIDES, st.integers(1, 70), st.tuples(*[st.integers(-20, 80)] * 4))
def test_meeting_is_what_a_search_over_all_tiles_finds(
    width: int, height: int, core_px: int, corners: tuple[int, int, int, int]
) -> None:
    box, grid = Box(*corners), Grid(width, height, core_px)
    expected = [t for t in grid if not t.core.clipped(box).is_empty] if not box.is_empty else []
    assert list(grid.meeting(box)) == expected


def test_a_tile_inside_a_frame_that_is_wider_than_high() -> None:
    grid = Grid(width=10, height=6, core_px=4)
    tile = grid.tile(row=1, col=2)
    assert tile.core == Box(8, 4, 10, 6)
    window = tile.core.grown(1).clipped(grid.frame)
    assert window == Box(7, 3, 10, 6)
    assert tile.core.slices_in(window) == (slice(1, 3), slice(1, 3))
    assert (tile.core.width, tile.core.height) == (2, 2)


def test_boxes() -> None:
    assert Box(1, 2, 3, 5).grown(2) == Box(-1, 0, 5, 7)
    assert Box(3, 3, 3, 9).is_empty
    assert Box(0, 0, 4, 4).clipped(Box(5, 5, 9, 9)).is_empty


def test_a_halved_box_holds_every_pixel() -> None:
    assert Box(0, 0, 7, 8).halved() == Box(0, 0, 4, 4)
    assert Box(3, 5, 6, 6).halved() == Box(1, 2, 3, 3)
