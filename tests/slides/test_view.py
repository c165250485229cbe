"""The frame: windows equal the whole, places are right to half a pixel, pixels those of slow arithmetic."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_slides import halved, picture

from wsiseg.errors import SlideError
from wsiseg.slides import open_slide
from wsiseg.slides.facts import Facts
from wsiseg.slides.resample import keys_cubic, taps
from wsiseg.slides.resolution import Statement
from wsiseg.slides.slide import Slide
from wsiseg.slides.view import SlideView
from wsiseg.tiles import Box


class Drawn(Slide):
    """A slide whose levels are arrays."""

    reader = "drawn"

    def __init__(self, levels: list[NDArray[np.uint8]], mpp: float | None = 0.25):
        super().__init__("drawn")
        self._levels = levels
        said = () if mpp is None else (Statement("its maker", mpp, mpp),)
        self._facts = Facts(tuple(level.shape[1::-1] for level in levels), said)

    def _open(self) -> object:
        return None

    def _describe(self, handle: object) -> Facts:
        raise AssertionError

    def _read(self, box: Box, level: int) -> NDArray[np.uint8]:
        return self._levels[level][box.slices_in(Box(0, 0, 0, 0))]


PIXELS = picture(203, 157, seed=3)
PYRAMID = Drawn([PIXELS, halved(PIXELS, 2), halved(PIXELS, 4)])


@settings(max_examples=100, deadline=None)
@given(
    mpp=st.one_of(st.sampled_from([0.1, 0.25, 0.26, 0.3, 0.5, 0.6, 1.0, 1.7, 3.0]), st.floats(0.1, 4.0)),
    corners=st.tuples(*[st.floats(-0.2, 1.2)] * 4),
)
def test_any_window_is_bitwise_the_whole(mpp: float, corners: tuple[float, float, float, float]) -> None:
    view = SlideView(PYRAMID, mpp)
    whole = view.read(view.frame)
    x0, x1 = sorted(int(c * view.width) for c in corners[::2])
    y0, y1 = sorted(int(c * view.height) for c in corners[1::2])
    box = Box(x0, y0, x1, y1)
    window = view.read(box)
    expected = np.full((box.height, box.width, 3), 255, np.uint8)
    inside = box.clipped(view.frame)
    if not inside.is_empty:
        expected[inside.slices_in(box)] = whole[inside.slices_in(view.frame)]
    np.testing.assert_array_equal(window, expected)


def obvious(pixels: NDArray[np.uint8], scale: float, row: int, col: int) -> NDArray[np.float64]:
    """Resample one pixel with loops over every input pixel, in float64."""

    def weights(index: int, size: int) -> NDArray[np.float64]:
        w = keys_cubic((np.arange(size) + 0.5 - (index + 0.5) * scale) / max(scale, 1.0))
        return w / w.sum()

    mixed = np.tensordot(weights(row, pixels.shape[0]), pixels.astype(np.float64), (0, 0))
    return np.tensordot(weights(col, pixels.shape[1]), mixed, (0, 0))


@pytest.mark.parametrize("mpp", [0.1, 0.31, 0.6, 1.5, 7.0])
def test_pixels_are_those_of_a_slow_obvious_version(mpp: float) -> None:
    view = SlideView(Drawn([PIXELS]), mpp)
    whole = view.read(view.frame)
    for row, col in [
        (0, 0),
        (view.height - 1, view.width - 1),
        (view.height // 2, view.width // 3),
        (0, view.width // 2),
    ]:
        expected = np.clip(obvious(PIXELS, mpp / 0.25, row, col), 0, 255)
        np.testing.assert_allclose(whole[row, col], expected, atol=0.51)


@pytest.mark.parametrize("mpp", [0.1, 0.25, 0.4, 0.5, 0.75, 1.0, 2.0])
def test_a_dot_is_where_it_was_drawn(mpp: float) -> None:
    pixels = np.full((400, 611, 3), 255, np.uint8)
    x_l0, y_l0, side = 431, 123, 12
    pixels[y_l0 : y_l0 + side, x_l0 : x_l0 + side] = 0
    slide = Drawn([pixels, halved(pixels, 2), halved(pixels, 4)])
    view = SlideView(slide, mpp)
    dark = 255.0 - view.read(view.frame)[..., 0]
    rows, cols = np.indices(dark.shape)
    # pixel centres lie at +0.5
    x = ((cols + 0.5) * dark).sum() / dark.sum() * view.scale_l0
    y = ((rows + 0.5) * dark).sum() / dark.sum() * view.scale_l0
    assert abs(x - (x_l0 + side / 2)) < 0.5
    assert abs(y - (y_l0 + side / 2)) < 0.5


def test_a_constant_slide_stays_constant_to_its_edges() -> None:
    pixels = np.full((100, 150, 3), (10, 200, 255), np.uint8)
    for mpp in (0.1, 0.3, 0.9, 5.0):
        view = SlideView(Drawn([pixels]), mpp)
        assert (view.read(view.frame) == pixels[0, 0]).all()


def test_levels_close_enough_are_taken_as_they_are() -> None:
    view = SlideView(PYRAMID, 0.52)
    assert (view.level, view.mpp, view.scale_l0) == (1, 0.5, 2.0)
    np.testing.assert_array_equal(view.read(view.frame), PYRAMID._levels[1])
    view = SlideView(PYRAMID, 0.7)
    assert (view.level, view.mpp) == (1, 0.7)
    assert view.scale_l0 == pytest.approx(2.8)
    assert (view.width, view.height) == (round(157 / 2 / 1.4), round(203 / 2 / 1.4))
    assert SlideView(PYRAMID, 0.1).level == 0


def test_without_mpp_the_error_names_the_option() -> None:
    slide = Drawn([PIXELS], mpp=None)
    with pytest.raises(SlideError, match="--slide-mpp"):
        SlideView(slide, 0.5)
    assert SlideView(slide, 0.5, slide_mpp=0.5).mpp == 0.5


@pytest.mark.parametrize("mpp", [0.0, -1.0, float("nan"), float("inf")])
def test_absurd_resolutions_are_refused(mpp: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        SlideView(PYRAMID, mpp)
    with pytest.raises(ValueError, match="positive"):
        SlideView(PYRAMID, 0.5, slide_mpp=mpp)


def test_both_readers_give_the_same_frame_and_it_can_be_pickled(svs: Path) -> None:
    views = [SlideView(open_slide(svs, reader), 0.6) for reader in ("openslide", "tiffslide")]
    pixels = [view.read(view.frame) for view in views]
    np.testing.assert_array_equal(*pixels)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(views[0])).read(views[0].frame), pixels[0])  # noqa: S301


def test_a_large_window_is_read_in_parts_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    view = SlideView(PYRAMID, 0.6)
    whole = view.read(view.frame)
    largest = 0

    def counted(*args: int) -> NDArray[np.uint8]:
        nonlocal largest
        largest = max(largest, args[3] * args[4])
        return Slide.read_region(PYRAMID, *args)

    monkeypatch.setattr(PYRAMID, "read_region", counted)
    monkeypatch.setattr("wsiseg.slides.view.MAX_READ_PX", 500)
    np.testing.assert_array_equal(view.read(view.frame), whole)
    assert largest <= 500


def test_taps_do_not_reach_outside() -> None:
    for scale, last in ((0.3, 66), (1.0, 20), (2.5, 8), (100.0, 1)):
        rows = taps(0, last, scale, 20)
        assert rows.start.min() >= 0
        assert rows.start.max() + rows.weight.shape[1] <= 20
        np.testing.assert_allclose(rows.weight.sum(1), 1, atol=1e-5)
