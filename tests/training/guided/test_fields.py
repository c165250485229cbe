"""The windows that stand for large slides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from repeats import opened_sources

from wsiseg.training.guided.fields import Field, Fields, crop_of
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


@pytest.fixture
def half() -> Field:
    """Tissue whose nuclei, red, all lie in the right half."""
    pixels = np.full((200, 200, 3), 100, np.uint8)
    target = np.zeros((200, 200, 1), np.uint8)
    target[:, 100:] = 255
    pixels[:, 100:] = (200, 0, 0)
    return Field(pixels, target)


def drawn(field: Field, config, count: int = 40) -> list[Field]:
    return [crop_of(field, config, numpy_generator(Purpose.CROP, number)) for number in range(count)]


def test_crops_with_nuclei_are_drawn_more_often_but_not_always(half, config):
    config = replace(config, crop_px=40)
    with_nuclei = [crop.target.any() for crop in drawn(half, config)]
    more = [crop.target.any() for crop in drawn(half, replace(config, least_nuclei=0.03))]
    assert sum(with_nuclei) < 32
    assert sum(with_nuclei) < sum(more)
    none = Field(half.pixels, np.zeros_like(half.target))
    assert len(drawn(none, replace(config, least_nuclei=0.03), 3)) == 3


def test_shrunk_crops_keep_their_size_and_their_nuclei(half, config):
    config = replace(config, crop_px=80, zoom_out=2.0)
    crops = drawn(half, config)
    assert {crop.pixels.shape for crop in crops} == {(80, 80, 3)}
    for crop in crops:
        sure = (crop.target[..., 0] == 255) | (crop.target[..., 0] == 0)
        assert ((crop.pixels[..., 0] > 150) == (crop.target[..., 0] > 127))[sure].all()
    # a window that holds the border shows more or less of each half than the plain one
    shares = [crop.target.mean() for crop in crops]
    assert shares != [crop.target.mean() for crop in drawn(half, replace(config, zoom_out=1.0))]
