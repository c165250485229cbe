"""The scene: any box of it is a pure function of place, and its nuclei are what they are said to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as ndi

from wsiseg.errors import UsageError
from wsiseg.synthetic import SyntheticSlide
from wsiseg.tiles import Box

SLIDE = SyntheticSlide(1337, 1101, seed=5, tissue_share=0.8)


@pytest.fixture(scope="module")
def whole() -> tuple[np.ndarray, np.ndarray]:
    return SLIDE.render(SLIDE.frame), SLIDE.truth(SLIDE.frame)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1336), st.integers(0, 1100), st.integers(1, 600), st.integers(1, 600))
def test_any_window_is_a_piece_of_the_whole(whole, x0, y0, width, height):
    box = Box(x0, y0, x0 + width, y0 + height).clipped(SLIDE.frame)
    inside = box.slices_in(SLIDE.frame)
    np.testing.assert_array_equal(SLIDE.render(box), whole[0][inside])
    np.testing.assert_array_equal(SLIDE.truth(box), whole[1][inside])


def test_a_nucleus_across_blocks_is_one_and_alike_in_both():
    slide = SyntheticSlide(
        1100, 1100, tissue_share=1.0, density=0.0, pen=False, extra_nuclei=((512, 512, 40),)
    )
    truth = slide.truth(slide.frame)
    assert len(np.unique(truth)) == 2
    pieces = ndi.label(truth)[1]
    assert pieces == 1
    assert truth[truth > 0].size == pytest.approx(np.pi * 40**2, rel=0.1)


def test_every_nucleus_of_the_truth_is_in_the_image(whole):
    rgb, truth = whole
    light = ndi.mean(rgb[..., 0], truth, np.unique(truth)[1:])
    assert light.max() < 225


def test_same_seed_same_slide_other_seed_other_slide():
    box = Box(100, 50, 300, 200)
    again = SyntheticSlide(1337, 1101, seed=5, tissue_share=0.8)
    np.testing.assert_array_equal(SLIDE.render(box), again.render(box))
    other = SyntheticSlide(1337, 1101, seed=6, tissue_share=0.8)
    assert (SLIDE.render(box) != other.render(box)).any()


def test_nuclei_table_agrees_with_truth(whole):
    truth = whole[1]
    table = SLIDE.nuclei(SLIDE.frame)
    assert len(np.unique(table.ids)) == len(table.ids) > 300
    inner = (table.centres_l0 > 40).all(1) & (table.centres_l0 < [SLIDE.width - 40, SLIDE.height - 40]).all(1)
    painted = np.bincount(truth.ravel(), minlength=table.ids.max() + 1)[table.ids] * SLIDE.mpp**2
    share = (painted / table.areas_um2)[inner]
    assert np.median(share) == pytest.approx(1.0, abs=0.05)
    assert share.min() > 0.3
    col, row = np.floor(table.centres_l0[inner]).astype(int).T
    assert (truth[row, col] == table.ids[inner]).mean() > 0.98
    assert set(np.unique(truth)) - set(table.ids) - {0} == set(np.unique(truth)) - set(
        np.append(table.ids, 0)
    )


def test_nuclei_are_of_realistic_size_number_and_colour(whole):
    rgb, truth = whole
    table = SLIDE.nuclei(SLIDE.frame)
    assert 20 < np.median(table.areas_um2) < 60
    tissue_mm2 = 0.8 * SLIDE.width * SLIDE.height * SLIDE.mpp**2 / 1e6
    assert 1000 < len(table.ids) / tissue_mm2 < 12000
    red = rgb[..., 0].astype(float)
    around = ndi.binary_dilation(truth > 0, iterations=8) & (truth == 0)
    assert np.median(red[truth > 0]) < np.median(red[around]) - 40


def test_some_nuclei_touch(whole):
    truth = whole[1]
    left, right = truth[:, :-1], truth[:, 1:]
    touching = (left != right) & (left > 0) & (right > 0)
    assert len(np.unique(left[touching])) > 20


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_tissue_share(share):
    slide = SyntheticSlide(2000, 1500, seed=2, tissue_share=share, pen=False, density=0.0)
    rgb = slide.render(slide.frame).astype(int)
    coloured = ndi.median_filter((rgb.max(2) - rgb.min(2))[::8, ::8], 5) > 20
    assert coloured.mean() == pytest.approx(share, abs=0.15)


def test_empty_slide_has_no_nuclei_and_no_dark_pixel():
    slide = SyntheticSlide(700, 600, tissue_share=0.0, pen=False)
    assert not slide.truth(slide.frame).any()
    assert slide.nuclei(slide.frame).ids.size == 0
    assert slide.render(slide.frame).min() > 215


def test_pen_leaves_ink_and_no_nuclei_under_it():
    slide = SyntheticSlide(1200, 900, seed=1, tissue_share=1.0)
    bare = SyntheticSlide(1200, 900, seed=1, tissue_share=1.0, pen=False)
    differs = (slide.render(slide.frame).astype(int) - bare.render(bare.frame)).min(2) < -60
    ink = ndi.binary_erosion(ndi.binary_opening(differs, iterations=5), iterations=25)
    assert ink.any()
    assert not slide.truth(slide.frame)[ink].any()


def test_nuclei_keep_their_physical_size_at_another_mpp():
    fine = SyntheticSlide(1600, 1200, seed=3, tissue_share=1.0, pen=False)
    coarse = SyntheticSlide(800, 600, mpp=0.5, seed=3, tissue_share=1.0, pen=False)
    a, b = fine.nuclei(fine.frame), coarse.nuclei(coarse.frame)
    np.testing.assert_array_equal(np.sort(a.areas_um2), np.sort(b.areas_um2))
    truth = coarse.truth(coarse.frame)
    assert (truth > 0).mean() == pytest.approx((fine.truth(fine.frame) > 0).mean(), abs=0.02)


def test_explicit_nuclei_lie_where_asked_and_clump():
    places = [(256, 256, 20), (290, 256, 20), (50, 500, 12)]
    slide = SyntheticSlide(600, 600, tissue_share=0.0, pen=False, extra_nuclei=places)
    table, truth = slide.nuclei(slide.frame), slide.truth(slide.frame)
    np.testing.assert_allclose(table.centres_l0, [p[:2] for p in places])
    assert len(np.unique(truth)) == 4
    assert ndi.label(truth > 0)[1] == 2
    assert slide.render(Box(250, 250, 260, 260))[..., 0].mean() < 170


def test_a_giant_nucleus_makes_room_for_itself():
    slide = SyntheticSlide(1500, 1500, tissue_share=1.0, pen=False, extra_nuclei=((700.0, 800.0, 400.0),))
    truth = slide.truth(slide.frame)
    giant = truth[800, 700]
    assert (truth == giant).sum() == pytest.approx(np.pi * 400**2, rel=0.05)
    assert len(np.unique(truth)) > 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"mpp": 0.0},
        {"mpp": float("nan")},
        {"tissue_share": 1.1},
        {"density": -1.0},
        {"extra_nuclei": [(5, 5, 0)]},
    ],
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError):
        SyntheticSlide(**({"width": 10, "height": 10} | wrong))


def test_a_box_outside_is_refused():
    with pytest.raises(UsageError, match="reaches out"):
        SLIDE.render(Box(-1, 0, 10, 10))
