"""Slides that training can draw from, and those that are left out."""

from __future__ import annotations

import pytest
from PIL import Image
from repeats import opened_sources

from wsiseg.slides.expand import expand
from wsiseg.training.sources import OpenViews, check_sources


@pytest.fixture
def opened(images, config):
    return opened_sources(images, config)


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


def test_few_slides_stay_open(opened, monkeypatch):
    monkeypatch.setattr("wsiseg.training.sources.OPEN_BYTES", 2 * 112 * 120 * 3)
    views = OpenViews(0.25)
    for chosen in opened:
        views.get(chosen)
    assert len(views._views) == 2
    assert views.get(opened[2]) is views.get(opened[2])
