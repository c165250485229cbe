"""Labels in the stores of wsiseg."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from label_files import store

from wsiseg.errors import LabelError
from wsiseg.evaluation.labels import read_labels


def test_a_store_at_a_coarser_resolution_is_enlarged(tmp_path: Path) -> None:
    frame = {"width": 3, "height": 2, "mpp": 0.5, "scale_l0": 2.0}
    path = store(tmp_path / "a.zarr", [[0, 5, 0], [0, 5, 9]], frame)
    expected = np.kron([[0, 5, 0], [0, 5, 9]], np.ones((2, 2), int))
    assert read_labels(path).tolist() == expected.tolist()
    # The slide's own size is not always a whole number of the model's pixels.
    assert read_labels(path, (5, 6)).tolist() == [*expected.tolist(), expected[-1].tolist()]
    with pytest.raises(LabelError, match="6 x 4 px for an image of 6 x 9 px"):
        read_labels(path, (9, 6))


def test_a_store_without_nuclei_or_of_something_else(tmp_path: Path) -> None:
    zarr.open_group(str(tmp_path / "empty.zarr"), mode="w")
    (tmp_path / "nothing.zarr").mkdir()
    for name, message in (("empty.zarr", "without labels/nuclei"), ("nothing.zarr", "not a readable store")):
        with pytest.raises(LabelError, match=message):
            read_labels(tmp_path / name)
