"""A new store: the arrays that it has, and that it is there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from wsiseg.errors import StoreError
from wsiseg.slides.tissue import Tissue
from wsiseg.store.identity import FrameInfo, Identity
from wsiseg.store.layout import create_store, new_store
from wsiseg.store.slide_store import SlideStore
from wsiseg.store.states import Stage

IDENTITY = Identity("model", "slide", FrameInfo(1300, 700, 0.5, 2.0), {}, {})
TISSUE = Tissue(np.array([[True, False]]), 1300.0, None, ("grey",))


def test_levels_halve_until_the_longer_side_fits_a_chunk(tmp_path: Path) -> None:
    store = create_store(tmp_path / "a.zarr", IDENTITY, TISSUE, 300, {"name": "a"})
    assert [image.shape for image in store.confidence] == [(700, 1300), (350, 650), (175, 325)]
    assert [image.shape for image in store.labels] == [(700, 1300), (350, 650), (175, 325)]
    assert (store.haematoxylin.shape, store.tile_labels.shape) == ((350, 650), (700, 1300))
    assert (store.states(Stage.NETWORK).shape, store.states(Stage.OBJECTS).shape) == ((1, 2), (3, 5))
    assert (store.name, store.fingerprint, store.is_complete) == ("a", "slide", False)
    np.testing.assert_array_equal(store.tissue.mask, TISSUE.mask)
    assert store.tissue.remarks == ("grey",)


def test_scales_and_places_of_levels_are_those_of_their_pixels(tmp_path: Path) -> None:
    create_store(tmp_path / "a.zarr", IDENTITY, TISSUE, 300, {"name": "a"})
    (image,) = zarr.open_group(tmp_path / "a.zarr", mode="r").attrs["ome"]["multiscales"]
    found = [
        (level["path"], *(step[step["type"]] for step in level["coordinateTransformations"]))
        for level in image["datasets"]
    ]
    assert found == [("0", [0.5, 0.5], [0, 0]), ("1", [1, 1], [0.25, 0.25]), ("2", [2, 2], [0.75, 0.75])]


def test_what_goes_wrong_in_the_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wrong"), new_store(tmp_path / "a.zarr", IDENTITY, TISSUE, 300, {}):
        raise ValueError("wrong")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_taken_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").write_text("a file")
    with pytest.raises(StoreError, match="cannot be created"):
        create_store(tmp_path / "a.zarr", IDENTITY, TISSUE, 300, {"name": "a"})
    with pytest.raises(StoreError, match="not a Zarr store"):
        assert SlideStore(tmp_path / "a.zarr").root
