"""Which crops are drawn, and that they follow from their place in the run alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from wsiseg.config import TissueConfig
from wsiseg.errors import SlideError
from wsiseg.network.appearance import rgb_table
from wsiseg.slides.sources import SlideSource, expand
from wsiseg.tiles import Box
from wsiseg.training.crops import CropStream, draw_crop, epoch_order, random_box, white_share
from wsiseg.training.guided.fields import Fields, standing_for
from wsiseg.training.randomness import Stage, numpy_generator
from wsiseg.training.sources import OpenViews, TrainingSource, check_sources


def source(name: str = "s", *, is_image: bool = True, places=None, width: int = 200) -> TrainingSource:
    return TrainingSource(
        name, name, "image", 0.25, width, 150, (width, 150), is_image, name, places, 16, rgb_table()
    )


@pytest.fixture
def opened(images, config):
    sources, failures = check_sources(expand([str(images)], 0.25), config)
    assert not failures
    return sources


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


def test_boxes_lie_inside_the_frame():
    generator = numpy_generator(Stage.CROP, 0)
    places = np.array([[0, 0], [184, 134]], np.int32)
    for chosen in (source(), source(places=places, is_image=False)):
        boxes = [random_box(chosen, 80, generator) for _ in range(200)]
        assert all(box.clipped(Box(0, 0, 200, 150)) == box for box in boxes)
        assert all((box.width, box.height) == (80, 80) for box in boxes)


def test_boxes_of_slides_surround_tissue():
    places = np.array([[96, 64]], np.int32)
    generator = numpy_generator(Stage.CROP, 0)
    for _ in range(50):
        box = random_box(source(places=places, is_image=False), 40, generator)
        assert box.x0 + 20 in range(96, 112)
        assert box.y0 + 20 in range(64, 80)


def test_white_is_drawn_again(tmp_path, config):
    rgb = np.full((100, 300, 3), 250, np.uint8)
    rgb[:, 200:] = (150, 80, 150)
    Image.fromarray(rgb).save(tmp_path / "half.png")
    (half,), _ = check_sources([SlideSource(str(tmp_path / "half.png"), "half", 0.25)], config)
    views = OpenViews(0.25)
    whites = [
        white_share(draw_crop(half, views, 80, 0.3, numpy_generator(Stage.CROP, i))[1]) for i in range(20)
    ]
    assert max(whites) <= 0.3
    assert white_share(rgb) > 0.6


def test_a_crop_holds_the_pixels_of_its_box(opened, config):
    views = OpenViews(0.25)
    box, pixels = draw_crop(opened[1], views, 80, 1.0, numpy_generator(Stage.CROP, 3))
    whole = np.asarray(Image.open(opened[1].path))
    assert np.array_equal(pixels, whole[box.y0 : box.y1, box.x0 : box.x1])


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


def test_large_sources_give_windows_however_many_there_are(opened, config, monkeypatch):
    monkeypatch.setattr("wsiseg.training.guided.fields.WHOLE_PX", 100)
    monkeypatch.setattr("wsiseg.training.guided.fields.FIELD_PX", 90)
    monkeypatch.setattr("wsiseg.training.guided.fields.FIELDS", 2)
    fields = Fields(opened, config, OpenViews(0.25), lambda rgb, source: rgb[..., :1])
    assert fields.get(1, 0).pixels.shape == (90, 90, 3)
    assert fields.get(1, 0) is fields.get(1, 0)
    pixels, target = fields.crop(1, numpy_generator(Stage.CROP, 0))
    assert pixels.shape == (80, 80, 3)
    assert np.array_equal(target, pixels[..., :1])


def test_a_stream_that_is_left_early_stops_its_threads(opened, config):
    batches = CropStream(opened, config, OpenViews(0.25), 2).batches(0, 0)
    next(batches)
    batches.close()
    with pytest.raises(StopIteration):
        next(batches)


def test_bad_slides_are_named_and_left_out(images, config, tmp_path):
    (images / "broken.png").write_bytes(b"no image at all")
    (images / "empty.svs").write_bytes(b"")
    Image.new("RGB", (60, 300)).save(images / "small.png")
    sources, failures = check_sources(expand([str(images)], 0.25), config)
    assert len(sources) == 3
    causes = {error.path.rpartition("/")[2]: error.cause for error in failures}
    assert set(causes) == {"broken.png", "empty.svs", "small.png"}
    assert "at least 80 x 80" in causes["small.png"]


def test_a_slide_without_resolution_says_what_to_give(images, config):
    _, failures = check_sources(expand([str(images)], None), config)
    assert all("--slide-mpp" in failure.cause for failure in failures)


def test_nothing_readable_is_an_error(opened, config, tmp_path):
    gone = replace(opened[0], path=str(tmp_path / "gone.png"))
    with pytest.raises(SlideError, match="gone"):
        draw_crop(gone, OpenViews(0.25), 80, 1.0, numpy_generator(Stage.CROP, 0))


def test_few_slides_stay_open(opened, monkeypatch):
    monkeypatch.setattr("wsiseg.training.sources.OPEN_BYTES", 2 * 112 * 120 * 3)
    views = OpenViews(0.25)
    for chosen in opened:
        views.get(chosen)
    assert len(views._views) == 2
    assert views.get(opened[2]) is views.get(opened[2])


@pytest.mark.real_data
def test_crops_of_a_real_slide_are_tissue(shared_data, config):
    slides = expand([str(shared_data / "slides" / "CMU-1-Small-Region.svs")], None)
    config = replace(config, mpp=0.5, crop_px=128)
    (slide,), _ = check_sources(slides, config, tissue=TissueConfig())
    assert not slide.is_image
    assert slide.places is not None
    assert len(slide.places) <= 2048
    views = OpenViews(0.5)
    for i in range(10):
        _, pixels = draw_crop(slide, views, 128, 0.3, numpy_generator(Stage.CROP, i))
        assert white_share(pixels) <= 0.3
