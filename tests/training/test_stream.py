"""Which crops are drawn, and that they follow from their place in the run alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from repeats import opened_sources

from wsiseg.network.appearance import rgb_table
from wsiseg.training.guided.fields import Fields, standing_for
from wsiseg.training.sources import OpenViews, TrainingSource
from wsiseg.training.stream import CropStream, epoch_order


def source(name: str = "s", *, is_image: bool = True, places=None, width: int = 200) -> TrainingSource:
    return TrainingSource(
        name, name, "image", 0.25, width, 150, (width, 150), is_image, name, places, 16, rgb_table()
    )


@pytest.fixture
def opened(images, config):
    return opened_sources(images, config)


def test_every_image_once_an_epoch_in_another_order(config):
    sources = [source(str(i)) for i in range(7)]
    orders = [epoch_order(sources, config, 0, epoch) for epoch in range(4)]
    assert all(sorted(order) == list(range(7)) for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    assert orders[2] == epoch_order(sources, config, 0, 2)
    assert orders[2] != epoch_order(sources, config, 1, 2)


def test_slides_take_turns_until_the_epoch_is_full(config):
    sources = [source("a", is_image=False), source("b", is_image=False)]
    order = epoch_order(sources, replace(config, epoch_crops=9), 0, 0)
    assert len(order) == 9
    assert {order.count(0), order.count(1)} == {4, 5}


def test_many_sources_take_turns_over_several_epochs(config):
    sources = [source(str(i), is_image=False) for i in range(25)]
    few = replace(config, epoch_crops=10)
    orders = [epoch_order(sources, few, 0, epoch) for epoch in range(5)]
    drawn = [number for order in orders for number in order]
    assert sorted(drawn) == sorted(2 * list(range(25)))
    assert len(standing_for(sources * 10, 0)) == 96
    assert standing_for(sources, 0) == sources


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_and_resuming_change_nothing(opened, config, workers):
    whole = list(CropStream(opened, config, OpenViews(0.25), 1).batches(1, 0))
    later = list(CropStream(opened, config, OpenViews(0.25), workers).batches(1, 1))
    assert [(b.epoch, b.step, b.steps) for b in whole] == [(e, s, 2) for e in range(3) for s in range(2)]
    assert [len(b.images) for b in whole] == [2, 1] * 3
    for first, second in zip(whole[2:], later, strict=True):
        assert first[:3] == second[:3]
        assert np.array_equal(first.images, second.images)
    assert not np.array_equal(whole[0].images, whole[2].images)


def test_targets_go_with_their_crops(opened, config):
    def red(rgb, source):
        return rgb[..., :1]

    views = OpenViews(0.25)
    for batch in CropStream(opened, config, views, 2, Fields(opened, config, views, red)).batches(0, 2):
        red_seen = np.rint((batch.images[:, 0] - 0.05) / 0.95 * 255)
        assert np.array_equal(batch.target[..., 0], red_seen)


def test_a_stream_that_is_left_early_stops_its_threads(opened, config):
    batches = CropStream(opened, config, OpenViews(0.25), 2).batches(0, 0)
    next(batches)
    batches.close()
    with pytest.raises(StopIteration):
        next(batches)
