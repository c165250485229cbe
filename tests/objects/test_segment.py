import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from objects.fields import blobs, fields, noise, reader
from objects.plain import split
from skimage.measure import label as components

from wsiseg.config import ObjectsConfig
from wsiseg.objects.mask import clean_mask
from wsiseg.objects.scales import Scales
from wsiseg.objects.segment import max_reach_px, segment
from wsiseg.tiles import Box, Grid

EAGER = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
# small caps, so that they matter on small fields
SMALL = ObjectsConfig(deepest_um=3.0, min_area_um2=1.0, shallowest_um=0.5, hole_area_um2=2.0)


def frame_of(confidence):
    return Box(0, 0, confidence.shape[1], confidence.shape[0])


def whole(confidence, mpp=0.5, config=SMALL):
    frame = frame_of(confidence)
    return segment(reader(confidence), frame, frame, mpp, config, 0.5)


def check_tiles(confidence, mpp, config, tile_px):
    """Assert that every tile of the grid has the labels of the whole frame, and each nucleus one owner."""
    frame, truth = frame_of(confidence), whole(confidence, mpp, config)
    number = {tuple(marker): k for k, marker in enumerate(truth.markers, 1)}
    owners = np.zeros(len(truth.markers), int)
    for tile in Grid(frame.width, frame.height, tile_px):
        found = segment(reader(confidence), tile.core, frame, mpp, config, 0.5)
        names = np.array([0, *(number[tuple(marker)] for marker in found.markers)])
        assert np.array_equal(names[found.labels], truth.window_labels[tile.core.slices_in(frame)])
        for k in np.flatnonzero(found.owned) + 1:
            owners[names[k] - 1] += 1
            assert (found.window_labels == k).sum() == (truth.window_labels == names[k]).sum()
    assert (owners == 1).all()
    return truth


@EAGER
@given(fields(), st.sampled_from([64, 75, 128]), st.sampled_from([0.25, 0.5, 1.0]), st.booleans())
def test_tiles_equal_the_whole(confidence, tile_px, mpp, is_split):
    config = ObjectsConfig(deepest_um=3.0, min_area_um2=1.0, shallowest_um=0.5, split=is_split)
    check_tiles(confidence, mpp, config, tile_px)


@EAGER
@given(fields(), st.sampled_from([64, 100]))
def test_tiles_equal_the_whole_with_the_papers_clean_up(confidence, tile_px):
    config = ObjectsConfig(opening_um=(0.75, 0.25), closing_um=(0.75, 0.25), neck=0.8)
    check_tiles(confidence, 0.25, config, tile_px)


@pytest.mark.parametrize("tile_px", [100, 256])
def test_percolating_masks_beyond_every_cap(tile_px):
    assert max_reach_px(0.5, SMALL) < 150
    check_tiles(np.full((500, 550), 255, np.uint8), 0.5, SMALL, tile_px)
    check_tiles(noise(450, 500, 5.0, 0.75, 1), 0.5, SMALL, tile_px)


def test_clump_at_the_corner_of_four_tiles():
    confidence = np.zeros((256, 256), np.uint8)
    confidence[100:156, 100:156] = blobs(56, 56, 12, 14, 2)
    truth = check_tiles(confidence, 0.25, ObjectsConfig(min_area_um2=1), 128)
    assert len(truth.markers) >= 2


def test_giant_is_one_object_whole_and_owned_once():
    row, col = np.ogrid[:300, :300]
    disc = (((row - 151) ** 2 + (col - 140) ** 2) <= 70**2).astype(
        np.uint8
    ) * 255  # 35 um wide, over 25 tiles
    truth = check_tiles(disc, 0.25, ObjectsConfig(), 64)
    assert len(truth.markers) == 1
    assert (truth.window_labels == 1).sum() == (disc > 0).sum()


@EAGER
@given(fields(40), st.sampled_from([0.25, 0.5, 1.0]), st.booleans(), st.sampled_from([0.7, 0.92]))
def test_equals_the_plain_version(confidence, mpp, is_split, neck):
    config = ObjectsConfig(deepest_um=2.0, min_area_um2=0, shallowest_um=0.5, split=is_split, neck=neck)
    scales = Scales.of(mpp, config)
    labels, peaks = split(clean_mask(confidence, 0.5, scales), scales)
    found = whole(confidence, mpp, config)
    assert [tuple(marker) for marker in found.markers] == sorted(peaks)
    rank = {place: k for k, place in enumerate(peaks, 1)}
    names = np.array([0, *(rank[tuple(marker)] for marker in found.markers)])
    assert np.array_equal(names[found.labels], labels)


def test_two_discs_part_at_the_neck():
    row, col = np.ogrid[:40, :64]
    confidence = ((row - 20) ** 2 + (np.minimum(abs(col - 22), abs(col - 42))) ** 2 <= 12**2).astype(np.uint8)
    found = whole(confidence * 255, 0.25, ObjectsConfig())
    assert len(found.markers) == 2
    assert (found.labels[:, :32] != 2).all()
    assert (found.labels[:, 33:] != 1).all()
    assert ((found.labels > 0) == (confidence > 0)).all()
    assert len(whole(confidence * 255, 0.25, ObjectsConfig(split=False)).markers) == 1


def test_an_ellipse_stays_whole():
    row, col = np.ogrid[:60, :160]
    confidence = (((row - 30) / 12) ** 2 + ((col - 80) / 60) ** 2 <= 1).astype(np.uint8) * 255
    assert len(whole(confidence, 0.25, ObjectsConfig()).markers) == 1


@EAGER
@given(fields(160))
def test_objects_are_connected_large_enough_and_inside_of_the_mask(confidence):
    found = whole(confidence)
    for k in range(1, len(found.markers) + 1):
        part = found.window_labels == k
        assert components(part, connectivity=1).max() == 1
        assert part.sum() * 0.25 >= SMALL.min_area_um2
        assert part[tuple(found.markers[k - 1])]
    mask = clean_mask(confidence, 0.5, Scales.of(0.5, SMALL))
    assert not (found.labels > 0)[mask == 0].any()


@EAGER
@given(fields(200), st.sampled_from([64, 80]))
def test_never_reads_beyond_the_reach(confidence, tile_px):
    frame, reach = frame_of(confidence), max_reach_px(0.5, SMALL)
    for tile in Grid(frame.width, frame.height, tile_px):
        allowed = tile.core.grown(reach)

        def read(box, allowed=allowed):
            assert box.clipped(allowed) == box
            return reader(confidence)(box)

        segment(read, tile.core, frame, 0.5, SMALL, 0.5)


def test_empty():
    found = whole(np.zeros((30, 40), np.uint8))
    assert found.labels.shape == (30, 40)
    assert not found.labels.any()
    assert found.markers.shape == (0, 2)
    assert found.owned.shape == (0,)


def test_kept_drops_objects_and_numbers_the_others_anew():
    found = whole(blobs(200, 200, 12, 14, 5))
    keep = np.arange(len(found.markers)) % 2 == 1
    kept = found.kept(keep)
    assert np.array_equal(kept.markers, found.markers[keep])
    for new, old in enumerate(np.flatnonzero(keep) + 1, 1):
        assert np.array_equal(kept.window_labels == new, found.window_labels == old)
    assert kept.window_labels.max() == keep.sum()
