import cv2
import numpy as np
import pytest
from objects.fields import noise, picture
from skimage.morphology import disk as skimage_disk
from skimage.morphology import isotropic_closing, isotropic_opening, remove_small_holes

from wsiseg.config import ObjectsConfig
from wsiseg.objects.mask import clean_mask, disk, threshold_u8
from wsiseg.objects.scales import Scales

NOTHING = ObjectsConfig(hole_area_um2=0)


def clean(confidence, config, mpp=1.0, threshold=0.5):
    return clean_mask(confidence, threshold, Scales.of(mpp, config))


@pytest.mark.parametrize(
    ("threshold", "least"), [(0.5, 128), (0.2, 51), (1 / 255, 1), (0.999, 255), (0.0, 1)]
)
def test_threshold_is_the_smallest_byte_at_or_above_it(threshold, least):
    assert threshold_u8(threshold) == least


def test_threshold_takes_the_limit_itself():
    assert clean(np.array([[127, 128, 129]], np.uint8), NOTHING).tolist() == [[0, 1, 1]]


def test_disk_is_that_of_scikit_image():
    for radius in range(1, 8):
        assert np.array_equal(disk(radius), skimage_disk(radius))


def test_clean_up_is_the_papers_inside_of_the_frame():
    confidence = noise(90, 100, 2.0, 0.5, 3)
    config = ObjectsConfig(opening_um=(0.75, 0.25), closing_um=(0.75, 0.25), hole_area_um2=0)
    mask = np.pad(confidence >= 128, 20)  # scikit-image takes the outside for background
    for radius in (3, 1):
        mask = isotropic_closing(isotropic_opening(mask, radius), radius)
    inner = np.s_[10:-10, 10:-10]
    assert np.array_equal(clean(confidence, config, 0.25)[inner], mask[20:-20, 20:-20][inner])


def test_radii_smaller_than_a_pixel_are_left_out():
    config = ObjectsConfig(opening_um=(0.75, 0.25), closing_um=(0.75, 0.25))
    assert Scales.of(0.25, config).clean_px == ((3, 3), (1, 1))
    assert Scales.of(0.5, config).clean_px == ((2, 2), (0, 0))
    assert Scales.of(1.0, config).clean_px == ((0, 0), (0, 0))


def test_frame_border_is_not_background():
    full = np.full((12, 12), 255, np.uint8)
    assert clean(full, ObjectsConfig(opening_um=(3.0,), closing_um=(3.0,))).all()


def test_a_hole_is_background_joined_by_its_sides_also_where_it_meets_the_outside_in_a_corner():
    mask = picture(
        """
        .#######
        #.##.###
        ##.#...#
        ####...#
        ########
        """
    )
    config = ObjectsConfig(hole_area_um2=1.0)  # one pixel: each of the diagonal, not the seven
    filled = clean(mask * 255, config)
    assert filled[1, 1] == filled[2, 2] == 1
    assert filled[0, 0] == 1  # at the frame's border: nothing says that it is no hole
    assert filled.sum() == mask.sum() + 3


@pytest.mark.parametrize("seed", range(4))
def test_holes_are_those_of_scikit_image_where_the_box_does_not_matter(seed):
    mask = noise(70, 80, 1.5, 0.6, seed) >= 128
    scales = Scales.of(1.0, ObjectsConfig(hole_area_um2=9.0))
    count, regions, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    wide = (stats[:, 2] > scales.hole_side_px) | (stats[:, 3] > scales.hole_side_px)
    wanted = remove_small_holes(mask, max_size=9, connectivity=1) & ~(wide[regions] & ~mask)
    assert np.array_equal(clean_mask(mask.astype(np.uint8) * 255, 0.5, scales).astype(bool), wanted | mask)
    assert count > 5
