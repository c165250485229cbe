"""Which label file is of which image."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wsiseg.errors import LabelError
from wsiseg.evaluation.labels import match_labels


def png(path: Path, values: Any, mode: str | None = None) -> Path:
    picture = Image.fromarray(np.asarray(values))
    (picture.convert(mode) if mode else picture).save(path)
    return path


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_matching_by_name(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "A1.png",
        "b_mask.png",
        "C.ome.tif",
        "TCGA-1.2.uuid.xml",
        ".hidden.png",
        "notes.txt",
        "e.png",
        "e.xml",
    )
    sources = [
        SimpleNamespace(name="A1", path="/x/A1.svs"),
        "/x/B.tif",
        Path("/x/c.tiff"),
        "/x/TCGA-1.2.uuid.svs",
        "/x/unlabelled.svs",
        "/x/e.jpg",
    ]
    assert {name: path.name for name, path in match_labels(sources, tmp_path).items()} == {
        "A1": "A1.png", "B": "b_mask.png", "c": "C.ome.tif", "e": "e.xml",
        "TCGA-1.2.uuid": "TCGA-1.2.uuid.xml",
    }  # fmt: skip


def test_labels_beside_their_images_are_not_the_images(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif", "a.xml", "b.tif")
    assert match_labels([tmp_path / "a.tif", tmp_path / "b.tif"], tmp_path) == {"a": tmp_path / "a.xml"}


def test_one_file_for_one_image_whatever_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "truth.png")
    assert match_labels(["/x/a.svs"], tmp_path / "truth.png") == {"a": tmp_path / "truth.png"}


def test_matching_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="no such file or folder"):
        match_labels(["a.svs"], tmp_path / "nowhere")
    touch(tmp_path, "a_mask.png", "a_labels.png")
    with pytest.raises(LabelError, match=r"both a_labels.png and a_mask.png could be the labels of a"):
        match_labels(["a.svs"], tmp_path)
    with pytest.raises(LabelError, match="no label file is named like an image"):
        match_labels(["q.svs"], tmp_path)
