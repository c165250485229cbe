"""Label files of every kind: what is said of the wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from label_files import XML
from PIL import Image
from scipy import io

from wsiseg.errors import LabelError
from wsiseg.evaluation.labels import read_labels

MASK = np.array(
    [
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 1],
    ],
    np.uint8,
)


def png(path: Path, values: Any, mode: str | None = None) -> Path:
    picture = Image.fromarray(np.asarray(values))
    (picture.convert(mode) if mode else picture).save(path)
    return path


def test_no_nuclei_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    (tmp_path / "a.xml").write_text(XML.format(""))
    png(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
    for file in tmp_path.iterdir():
        assert read_labels(file, (2, 2)).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "not a known kind of label file"),
        ("a.png", b"", "not a readable PNG"),
        ("a.png", b"\x89PNG\r\n\x1a\n junk", "not a readable PNG"),
        ("a.tif", b"II*\x00junk", "not a readable TIFF"),
        ("a.npy", b"junk", "not a readable array"),
        ("a.mat", b"junk" * 100, "not a readable MATLAB file"),
        ("a.mat", b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\0" * 400, "7.3"),
        ("a.xml", b"<Annotations", "not a readable XML"),
        ("a.xml", b"<html></html>", "not an annotation of ImageScope"),
        ("a.xml", b"<!DOCTYPE a [<!ENTITY b 'c'>]><Annotations>&b;</Annotations>", "not a readable XML"),
        ("a.geojson", b"{", "not a readable GeoJSON"),
        ("a.geojson", b"[" * 100_000, "not a readable GeoJSON"),
        ("a.geojson", b'{"type": "Topology"}', "no GeoJSON features"),
        ("a.geojson.gz", b"{}", "not a readable GeoJSON"),
        ("a.geojson", b'[{"type": "Feature", "geometry": {"type": "Point"}}]', "no polygons"),
    ],
)  # fmt: skip
def test_wrong_files_are_named_in_words(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LabelError, match=message) as caught:
        read_labels(tmp_path / name, (4, 4))
    assert str(tmp_path / name) in str(caught.value)


def test_absent_files_wrong_sizes_and_values(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="no such label file"):
        read_labels(tmp_path / "a.png")
    png(tmp_path / "a.png", MASK)
    with pytest.raises(LabelError, match="5 x 3 px for an image of 9 x 8 px"):
        read_labels(tmp_path / "a.png", (8, 9))
    png(tmp_path / "colours.png", np.arange(27, dtype=np.uint8).reshape(3, 3, 3))
    with pytest.raises(LabelError, match="colour"):
        read_labels(tmp_path / "colours.png")
    tifffile.imwrite(tmp_path / "half.tif", np.array([[0.5, 1]], np.float32))
    with pytest.raises(LabelError, match="not whole numbers"):
        read_labels(tmp_path / "half.tif")
    np.save(tmp_path / "minus.npy", np.array([[-1]]))
    with pytest.raises(LabelError, match="negative"):
        read_labels(tmp_path / "minus.npy")
    io.savemat(tmp_path / "a.mat", {"other": MASK})
    with pytest.raises(LabelError, match="it holds other"):
        read_labels(tmp_path / "a.mat")
