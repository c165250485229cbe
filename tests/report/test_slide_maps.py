"""The maps of a slide."""

from __future__ import annotations

import numpy as np
import pytest

from wsiseg.report.slide_maps import coarser
from wsiseg.slides.tissue import Tissue


def test_the_outline_of_a_fine_mask_is_drawn_coarser_at_its_place() -> None:
    mask = np.zeros((1300, 2000), np.bool_)
    mask[400:800, 1000:1600] = True
    (ring,) = (tissue := coarser(Tissue(mask, 4.0), 500)).outlines_l0()
    assert tissue.mask.shape == (325, 500)
    assert ring.min(0) == pytest.approx([4000, 1600], abs=8)
    assert ring.max(0) == pytest.approx([6400, 3200], abs=8)
