"""`--measurements all`: the same bytes for any tiles, and from the store alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from outputs import array, digests, predicted
from skimage.color import rgb2gray, rgb2hed

import wsiseg
from wsiseg.config import ObjectsConfig
from wsiseg.inference.export import export
from wsiseg.objects.parquet import file_schema
from wsiseg.slides import open_slide
from wsiseg.slides.view import SlideView
from wsiseg.store.names import PLANES

ALL = ObjectsConfig(measurements="all")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, svs_slide: Path, model_file: Path) -> Path:
    folder = tmp_path_factory.mktemp("all")
    (report,) = predicted(svs_slide, folder, model_file, workers=1, objects=ALL)
    assert report.nuclei > 100
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("tile_px", "workers"), [(160, 2), (500, 1)])
def test_tiles_and_workers_change_nothing(
    tmp_path: Path, out: Path, svs_slide: Path, model_file: Path, tile_px: int, workers: int
) -> None:
    predicted(svs_slide, tmp_path, model_file, workers=workers, tile_px=tile_px, objects=ALL)
    assert digests(tmp_path) == digests(out)


def test_every_column_is_there_and_has_values(out: Path) -> None:
    assert pq.read_schema(out / "slide.parquet").equals(file_schema("all"), check_metadata=True)
    table = pd.read_parquet(out / "slide.parquet")
    assert table.drop(columns=["nearest_um"]).notna().all(axis=None)
    for stain in ("haematoxylin", "eosin", "grey"):
        least, median, most = (table[f"{stain}_{which}"] for which in ("min", "median", "max"))
        assert ((least <= median) & (median <= most)).all()
        assert table[f"{stain}_sd"].max() > 0
    assert (table["boundary_contrast"] > 0).mean() > 0.9
    assert (table["within_25_um"] <= table["within_50_um"]).all()


def test_planes_are_the_stains_of_the_slide(out: Path, svs_slide: Path) -> None:
    with open_slide(svs_slide) as slide:
        view = SlideView(slide, 0.25)
        rgb = view.read(view.frame)
    hed, grey = rgb2hed(rgb), rgb2gray(rgb) * 255
    kept = array(out / "slide.zarr", "status/network").astype(bool)
    seen = np.kron(kept, np.ones((1024, 1024), bool))[: view.height, : view.width]
    for name, expected in zip(PLANES, (hed[..., 0] * 510, hed[..., 1] * 510, grey), strict=True):
        plane = array(out / "slide.zarr", name)
        written = seen & (array(out / "slide.zarr", PLANES[2]) > 0)
        np.testing.assert_allclose(plane[written], np.clip(expected, 0, 255)[written], atol=0.51)


def test_the_store_is_enough_to_write_them_again(
    tmp_path: Path, out: Path, svs_slide: Path, model_file: Path
) -> None:
    export(out / "slide.zarr", tmp_path)
    assert pq.read_table(tmp_path / "slide.parquet").equals(pq.read_table(out / "slide.parquet"))
    before = digests(out)
    (out / "slide.parquet").unlink()
    predicted(svs_slide, out, model_file, objects=ALL)
    assert digests(out) == before


def test_one_image_in_memory_has_them_too(tmp_path: Path, small_slide: Path, model_file: Path) -> None:
    predicted(small_slide, tmp_path, model_file, slide_mpp=0.25, objects=ALL)
    _, nuclei = wsiseg.segment(small_slide, 0.25, model_file, measurements="all")
    pd.testing.assert_frame_equal(pd.DataFrame(nuclei), pd.DataFrame(wsiseg.read_nuclei(tmp_path / "small")))
