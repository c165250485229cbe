"""A level counts if both its sides follow from level 0 by one factor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsiseg.slides.levels import counted_levels, downsamples, level_downsample


def test_downsamples() -> None:
    assert downsamples(((4443, 3567), (2221, 1783))) == (1.0, 2.0)
    assert downsamples(((46000, 32914), (11500, 8228), (2875, 2057))) == (1.0, 4.0, 16.0)
    assert downsamples(((1000, 1000), (400, 400))) == (1.0, 2.5)


@pytest.mark.parametrize(
    ("level0", "size"),
    [
        ((2400, 2000), (1280, 1024)),  # padded to whole tiles of 256
        ((2400, 2000), (1200, 1008)),  # one side padded
        ((2560, 2048), (768, 512)),
        ((2400, 2000), (1200, 960)),  # cropped
        ((2400, 2000), (1000, 1200)),  # turned
    ],
)
def test_padded_cropped_and_turned_levels_do_not_count(
    level0: tuple[int, int], size: tuple[int, int]
) -> None:
    assert level_downsample(level0, size) is None
    kept, left_out = counted_levels((level0, size))
    assert kept == (0,)
    assert f"{size[0]} x {size[1]}" in left_out[0]


def test_a_second_picture_of_the_same_size_is_no_level() -> None:
    kept, left_out = counted_levels(((800, 600), (800, 600), (400, 300)))
    assert kept == (0, 2)
    assert "as large as level 0" in left_out[0]


@given(st.integers(300, 200_000), st.integers(300, 200_000), st.integers(2, 64))
def test_whole_factors_count_however_they_were_rounded(width: int, height: int, factor: int) -> None:
    for size in (
        (width // factor, height // factor),
        (-(-width // factor), -(-height // factor)),
        (max(1, round(width / factor)), max(1, round(height / factor))),
    ):
        downsample = level_downsample((width, height), size)
        assert downsample is not None
        assert downsample == pytest.approx(factor, rel=3 / min(size))


@given(st.integers(2000, 100_000), st.integers(2000, 100_000), st.floats(1.1, 8))
def test_other_factors_count_when_rounded_to_the_nearest_pixel(
    width: int, height: int, factor: float
) -> None:
    assert level_downsample((width, height), (round(width / factor), round(height / factor))) is not None
