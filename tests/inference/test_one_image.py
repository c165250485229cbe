"""`wsiseg.segment`: what `predict` finds in the image, in memory."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from outputs import array, predicted
from PIL import Image

import wsiseg
from wsiseg.config import PredictConfig
from wsiseg.errors import SlideError, UsageError
from wsiseg.network.model import load_model


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def same_as_predict(labels: np.ndarray, nuclei: pd.DataFrame, out: Path, name: str, scale: float) -> None:
    stored = array(out / f"{name}.zarr", "labels/nuclei/0")
    rows, cols = (
        np.minimum(((np.arange(n) + 0.5) / scale).astype(int), m - 1)
        for n, m in zip(labels.shape, stored.shape, strict=True)
    )
    np.testing.assert_array_equal(labels, stored[np.ix_(rows, cols)])
    pd.testing.assert_frame_equal(pd.DataFrame(nuclei), pd.DataFrame(wsiseg.read_nuclei(out / name)))


@pytest.mark.parametrize("tile_px", [100, 2048])
def test_it_finds_what_predict_finds(
    tmp_path: Path, small_slide: Path, model_file: Path, tile_px: int
) -> None:
    predicted(small_slide, tmp_path, model_file, slide_mpp=0.25)
    rgb = pixels(small_slide)
    labels, nuclei = wsiseg.segment(rgb, 0.25, model_file, config=PredictConfig(tile_px=tile_px))
    assert labels.dtype == np.int32
    assert labels.shape == rgb.shape[:2]
    assert list(nuclei["id"]) == list(range(1, labels.max() + 1))
    assert len(nuclei) > 20
    same_as_predict(labels, nuclei, tmp_path, "small", 1.0)


def test_the_shipped_model_at_its_own_resolution(tmp_path: Path, small_slide: Path) -> None:
    model = load_model()
    predicted(
        small_slide,
        tmp_path,
        Path(wsiseg.__file__).parent / "network/models/default.safetensors",
        slide_mpp=0.25,
    )
    labels, nuclei = wsiseg.segment(small_slide, mpp=0.25, model=model)
    same_as_predict(labels, nuclei, tmp_path, "small", 2.0)
    areas_um2 = np.bincount(labels.ravel(), minlength=len(nuclei) + 1)[1:] * 0.25**2
    np.testing.assert_allclose(areas_um2, nuclei["area_um2"], rtol=1e-5)
    outlines = shapely.area(nuclei["geometry"]) * 0.25**2
    np.testing.assert_allclose(outlines, nuclei["area_um2"], rtol=0.1)


def test_it_leaves_no_file(
    tmp_path: Path, small_slide: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    wsiseg.segment(pixels(small_slide), 0.25, model_file, workers=1)
    assert os.listdir(tmp_path) == []


def test_an_image_without_nuclei(model_file: Path) -> None:
    labels, nuclei = wsiseg.segment(np.full((90, 70, 3), 255, np.uint8), 0.25, model_file)
    assert not labels.any()
    assert len(nuclei) == 0
    assert {"id", "area_um2", "geometry"} <= set(nuclei)


def test_settings_are_those_of_predict(small_slide: Path, model_file: Path) -> None:
    usual = wsiseg.segment(small_slide, 0.25, model_file)[1]
    large = wsiseg.segment(small_slide, 0.25, model_file, min_area=30)[1]
    assert 0 < len(large) < len(usual)
    assert large["area_um2"].min() >= 30


@pytest.mark.parametrize(
    "wrong", [np.zeros((5, 5, 3)), np.zeros((5, 5, 2), np.uint8), np.zeros((0, 5, 3), np.uint8)]
)
def test_what_is_no_image_is_refused(wrong: np.ndarray, model_file: Path) -> None:
    with pytest.raises(UsageError, match=r"give uint8 of \(rows, columns, 3\)"):
        wsiseg.segment(wrong, 0.25, model_file)


def test_what_is_missing_is_said(tmp_path: Path, small_slide: Path, model_file: Path) -> None:
    with pytest.raises(UsageError, match=r"small\.png: give the micrometres per pixel, such as mpp=0\.25"):
        wsiseg.segment(small_slide, model=model_file)
    with pytest.raises(UsageError, match="measurements='most': choose basic or all"):
        wsiseg.segment(small_slide, 0.25, model_file, measurements="most")
    with pytest.raises(SlideError, match="no such file"):
        wsiseg.segment(tmp_path / "none.png", 0.25, model_file)
