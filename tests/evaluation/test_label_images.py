"""Masks and label images of every kind, each written by the test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from label_files import feature, square
from PIL import Image
from scipy import io

from wsiseg.errors import LabelError
from wsiseg.evaluation import label_images
from wsiseg.evaluation.labels import load_labels, read_labels

MASK = np.array(
    [
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 1],
    ],
    np.uint8,
)

COMPONENTS = [[1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 2]]

LABELS = np.array([[7, 7, 0, 3], [7, 0, 0, 3]], np.uint16)


def png(path: Path, values: Any, mode: str | None = None) -> Path:
    picture = Image.fromarray(np.asarray(values))
    (picture.convert(mode) if mode else picture).save(path)
    return path


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_has_components_and_no_instances(tmp_path: Path, value: int) -> None:
    labels = load_labels(png(tmp_path / "a.png", MASK * value), MASK.shape)
    assert labels.image.tolist() == COMPONENTS
    assert labels.image.dtype == np.int32
    assert not labels.has_instances


def test_masks_in_other_wrappings(tmp_path: Path) -> None:
    bits = tmp_path / "bits.png"
    Image.fromarray(MASK * 255).convert("1").save(bits)
    grey_rgb = png(tmp_path / "rgb.png", np.repeat(MASK[..., None] * 255, 3, axis=2))
    tifffile.imwrite(tmp_path / "a.tif", MASK * 255, compression="deflate")
    tifffile.imwrite(tmp_path / "b.ome.tif", MASK[None].astype(bool))
    np.save(tmp_path / "c.npy", MASK.astype(bool))
    for file in (bits, grey_rgb, tmp_path / "a.tif", tmp_path / "b.ome.tif", tmp_path / "c.npy"):
        assert read_labels(file, MASK.shape).tolist() == COMPONENTS, file


def test_label_images_of_all_depths(tmp_path: Path) -> None:
    png(tmp_path / "a.png", LABELS.astype(np.uint8))
    png(tmp_path / "b.png", LABELS)
    tifffile.imwrite(tmp_path / "c.tif", LABELS.astype(np.uint32))
    tifffile.imwrite(tmp_path / "d.tiff", LABELS.astype(np.float32))
    io.savemat(tmp_path / "e.mat", {"inst_map": LABELS.astype(float), "type_map": LABELS * 0})
    for file in sorted(tmp_path.iterdir()):
        labels = load_labels(file, (2, 4))
        assert labels.image.tolist() == LABELS.tolist(), file
        assert labels.has_instances


def test_labels_beyond_int32_are_renumbered(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[2**40, 0, 5]]))
    assert read_labels(tmp_path / "a.npy").tolist() == [[2, 0, 1]]


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[object()]]), allow_pickle=True)
    with pytest.raises(LabelError, match="not a readable array"):
        read_labels(tmp_path / "a.npy")


def test_sizes_are_checked_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_images, "MAX_PIXELS", 10)
    for name in ("a.png", "a.tif", "a.npy", "a.mat"):
        path = tmp_path / name
        {"png": lambda p: png(p, MASK), "tif": lambda p: tifffile.imwrite(p, MASK),
         "npy": lambda p: np.save(p, MASK), "mat": lambda p: io.savemat(p, {"inst_map": MASK}),
         }[name[2:]](path)  # fmt: skip
        with pytest.raises(LabelError, match="cannot be scored at once"):
            read_labels(path)
    (tmp_path / "far.geojson").write_text(json.dumps([feature([square(0, 0, 9e8, 9e8)])]))
    with pytest.raises(LabelError, match="cannot be scored at once"):
        read_labels(tmp_path / "far.geojson")
