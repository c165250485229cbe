"""Where crops lie, and what they hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from repeats import opened_sources

from wsiseg.config import TissueConfig
from wsiseg.errors import SlideError
from wsiseg.network.appearance import rgb_table
from wsiseg.slides.expand import expand
from wsiseg.slides.sources import SlideSource
from wsiseg.tiles import Box
from wsiseg.training.crops import draw_crop, random_box, white_share
from wsiseg.training.randomness import Purpose, numpy_generator
from wsiseg.training.sources import OpenViews, TrainingSource, check_sources


def source(name: str = "s", *, is_image: bool = True, places=None, width: int = 200) -> TrainingSource:
    return TrainingSource(
        name, name, "image", 0.25, width, 150, (width, 150), is_image, name, places, 16, rgb_table()
    )


@pytest.fixture
def opened(images, config):
    return opened_sources(images, config)


def test_boxes_lie_inside_the_frame():
    generator = numpy_generator(Purpose.CROP, 0)
    places = np.array([[0, 0], [184, 134]], np.int32)
    for chosen in (source(), source(places=places, is_image=False)):
        boxes = [random_box(chosen, 80, generator) for _ in range(200)]
        assert all(box.clipped(Box(0, 0, 200, 150)) == box for box in boxes)
        assert all((box.width, box.height) == (80, 80) for box in boxes)


def test_boxes_of_slides_surround_tissue():
    places = np.array([[96, 64]], np.int32)
    generator = numpy_generator(Purpose.CROP, 0)
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
        white_share(draw_crop(half, views, 80, 0.3, numpy_generator(Purpose.CROP, i))[1]) for i in range(20)
    ]
    assert max(whites) <= 0.3
    assert white_share(rgb) > 0.6


def test_a_crop_holds_the_pixels_of_its_box(opened, config):
    views = OpenViews(0.25)
    box, pixels = draw_crop(opened[1], views, 80, 1.0, numpy_generator(Purpose.CROP, 3))
    whole = np.asarray(Image.open(opened[1].path))
    assert np.array_equal(pixels, whole[box.y0 : box.y1, box.x0 : box.x1])


def test_nothing_readable_is_an_error(opened, config, tmp_path):
    gone = replace(opened[0], path=str(tmp_path / "gone.png"))
    with pytest.raises(SlideError, match="gone"):
        draw_crop(gone, OpenViews(0.25), 80, 1.0, numpy_generator(Purpose.CROP, 0))


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
        _, pixels = draw_crop(slide, views, 128, 0.3, numpy_generator(Purpose.CROP, i))
        assert white_share(pixels) <= 0.3
