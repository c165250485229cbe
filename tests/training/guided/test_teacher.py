"""What the prior teaches: the nuclei that it finds on the slides, whichever way up they lie."""

from __future__ import annotations

import numpy as np
import pytest

from wsiseg.network.appearance import StainScale, stain_table
from wsiseg.network.engine import Engine
from wsiseg.network.model import shipped_model
from wsiseg.synthetic import SyntheticSlide
from wsiseg.training.guided.prior import Prior
from wsiseg.training.guided.teacher import teacher_maker, turned_mean
from wsiseg.training.presets import preset


class Upright(Engine):
    """Finds what is dark, and believes in it the less the farther down it lies."""

    name = "upright"

    def confidence(self, rgb, table, inner=None):
        down = np.linspace(1, 0, rgb.shape[0], dtype=np.float32)[:, None]
        return (rgb[..., 0] < 128) * down


TABLE = np.zeros((3, 256, 3), np.float32)


def test_what_depends_on_the_way_up_cancels():
    rgb = np.full((6, 6, 3), 255, np.uint8)
    rgb[1, 4] = 0
    upright = Upright().confidence(rgb, TABLE)[1, 4]
    # rows from the top, of five: 1, then 1, 4 and 4 as it is turned and mirrored
    assert upright == pytest.approx(0.8)
    mean = turned_mean(Upright(), rgb, TABLE)
    assert mean[1, 4] == pytest.approx((0.8 + 0.8 + 0.2 + 0.2) / 4)
    assert (mean > 0).sum() == 1


def test_a_field_is_taught_with_the_nuclei_that_the_prior_finds():
    slide = SyntheticSlide(240, 240, seed=3, mpp=0.35, tissue_share=1.0, pen=False)
    rgb, truth = slide.render(slide.frame), slide.truth(slide.frame) > 0
    config, prior = preset("default"), Prior(shipped_model("large"), "large")
    source = type("Source", (), {"table": stain_table(StainScale.of(rgb))})()
    target = teacher_maker(config, prior)(rgb, source)
    assert target.shape == (240, 240, 4)
    nucleus = target[..., 0] > 127
    assert 2 * (nucleus & truth).sum() / (nucleus.sum() + truth.sum()) > 0.7
