"""The windows that stand for large slides."""

from __future__ import annotations

import numpy as np
import pytest
from repeats import opened_sources

from wsiseg.training.guided.fields import Fields
from wsiseg.training.randomness import Purpose, numpy_generator
from wsiseg.training.sources import OpenViews


@pytest.fixture
def opened(images, config):
    return opened_sources(images, config)


def test_large_sources_give_windows_however_many_there_are(opened, config, monkeypatch):
    monkeypatch.setattr("wsiseg.training.guided.fields.WHOLE_PX", 100)
    monkeypatch.setattr("wsiseg.training.guided.fields.FIELD_PX", 90)
    monkeypatch.setattr("wsiseg.training.guided.fields.FIELDS", 2)
    fields = Fields(opened, config, OpenViews(0.25), lambda rgb, source: rgb[..., :1])
    assert fields.get(1, 0).pixels.shape == (90, 90, 3)
    assert fields.get(1, 0) is fields.get(1, 0)
    pixels, target = fields.crop(1, numpy_generator(Purpose.CROP, 0))
    assert pixels.shape == (80, 80, 3)
    assert np.array_equal(target, pixels[..., :1])
