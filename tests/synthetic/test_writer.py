"""The file: both readers open it alike, it is the scene, and it is there whole or not at all."""

from __future__ import annotations

import tracemalloc

import numpy as np
import openslide
import pytest
import tiffslide

from wsiseg.errors import UsageError
from wsiseg.synthetic import SyntheticSlide, write_synthetic, write_synthetic_image
from wsiseg.synthetic.pyramid import shrink

SLIDE = SyntheticSlide(1337, 1101, seed=5)


def read(reader, level: int) -> np.ndarray:
    region = reader.read_region((0, 0), level, reader.level_dimensions[level])
    return np.asarray(region.convert("RGB"))


@pytest.mark.parametrize(("tile_px", "levels"), [(256, (4, 16)), (240, (3, 9)), (256, ())])
def test_both_readers_see_the_same_pyramid(tmp_path, tile_px, levels):
    path = write_synthetic(tmp_path / "a.svs", SLIDE, tile_px=tile_px, levels=levels)
    sizes = tuple((-(-1337 // d), -(-1101 // d)) for d in (1, *levels))
    with openslide.OpenSlide(path) as one, tiffslide.TiffSlide(path) as two:
        assert one.level_dimensions == tuple(two.level_dimensions) == sizes
        assert float(one.properties["openslide.mpp-x"]) == float(two.properties["tiffslide.mpp-y"]) == 0.25
        assert one.properties["openslide.objective-power"] == "40"
        assert one.properties["openslide.level[0].tile-width"] == str(tile_px)
        assert "thumbnail" in one.associated_images
        for level in range(len(sizes)):
            np.testing.assert_array_equal(read(one, level), read(two, level))


def test_pixels_are_the_scene_and_levels_its_averages(tmp_path):
    path = write_synthetic(tmp_path / "a.svs", SLIDE, quality=95, levels=(3,))
    scene = SLIDE.render(SLIDE.frame)
    with openslide.OpenSlide(path) as reader:
        assert np.abs(read(reader, 0).astype(int) - scene).mean() < 2.0
        assert np.abs(read(reader, 1).astype(int) - shrink(scene, 3)).mean() < 2.0


def test_file_does_not_depend_on_the_threads(tmp_path):
    one = write_synthetic(tmp_path / "1.svs", SLIDE, workers=1)
    many = write_synthetic(tmp_path / "2.svs", SLIDE, workers=4)
    assert one.read_bytes() == many.read_bytes()


def test_plain_tiff_with_levels_and_resolution(tmp_path):
    path = write_synthetic(tmp_path / "a.tif", SLIDE, aperio=False, levels=(2, 4))
    with openslide.OpenSlide(path) as one, tiffslide.TiffSlide(path) as two:
        assert one.properties["openslide.vendor"] == "generic-tiff"
        assert one.level_dimensions == tuple(two.level_dimensions)
        assert float(one.properties["openslide.mpp-x"]) == pytest.approx(0.25)
        np.testing.assert_array_equal(read(one, 2), read(two, 2))


@pytest.mark.parametrize("aperio", [True, False])
def test_header_without_mpp(tmp_path, aperio):
    path = write_synthetic(tmp_path / "a.svs", SyntheticSlide(300, 200), aperio=aperio, header_mpp=False)
    with openslide.OpenSlide(path) as one, tiffslide.TiffSlide(path) as two:
        assert "openslide.mpp-x" not in one.properties
        assert two.properties["tiffslide.mpp-x"] is None


@pytest.mark.parametrize("size", [(1, 1), (100, 77), (256, 256), (257, 513)])
def test_small_and_odd_sizes(tmp_path, size):
    slide = SyntheticSlide(*size, tissue_share=1.0)
    path = write_synthetic(tmp_path / "a.svs", slide)
    with openslide.OpenSlide(path) as reader:
        assert reader.dimensions == size
        assert np.abs(read(reader, 0).astype(int) - slide.render(slide.frame)).mean() < 5


def test_memory_grows_with_a_band_and_not_with_the_slide(tmp_path):
    def peak_bytes(height: int) -> int:
        slide = SyntheticSlide(1024, height, tissue_share=0.0, pen=False)
        tracemalloc.start()
        write_synthetic(tmp_path / "a.svs", slide, levels=(4, 16), workers=1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(512)
    assert peak_bytes(16 * 512) < peak_bytes(4 * 512) + 2_000_000 < 12 * 512 * 1024 * 3


def test_nothing_is_left_when_writing_fails(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("disk full")

    monkeypatch.setattr(SyntheticSlide, "render", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        write_synthetic(tmp_path / "a.svs", SLIDE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"levels": (4, 6)}, {"levels": (1,)}, {"tile_px": 100}, {"quality": 0}])
def test_what_cannot_be_written_is_refused(tmp_path, wrong):
    with pytest.raises(UsageError):
        write_synthetic(tmp_path / "a.svs", SLIDE, **wrong)


def test_plain_image(tmp_path):
    from PIL import Image

    slide = SyntheticSlide(123, 77)
    path = write_synthetic_image(tmp_path / "a.png", slide)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), slide.render(slide.frame))
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_shrink_rounds_and_keeps_the_ragged_edge():
    rows = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    out = shrink(rows, 2)
    assert out.shape == (2, 3, 3)
    assert out[0, 0, 0] == round((0 + 3 + 15 + 18) / 4)
    assert out[1, 2, 1] == rows[2, 4, 1]
