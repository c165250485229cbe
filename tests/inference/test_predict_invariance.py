"""Invariant 1: nothing but the slide and the model decides what is found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tifffile
from disks import disks, store_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from outputs import array, digests, predicted, whole_nuclei

from wsiseg.config import ObjectsConfig, TissueConfig
from wsiseg.inference.clusters import open_cluster
from wsiseg.inference.job import SlideJob
from wsiseg.inference.kernel import Kernel
from wsiseg.inference.pipeline import FINDING, PAINTING
from wsiseg.inference.planner import plan
from wsiseg.network.appearance import rgb_table
from wsiseg.network.model import load_model, save_model
from wsiseg.objects.records import describe
from wsiseg.slides import open_slide
from wsiseg.slides.view import SlideView
from wsiseg.store.numbering import numbered_nuclei, sorted_keys
from wsiseg.store.slide_store import SlideStore

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, svs_slide: Path, model_file: Path) -> dict[str, str]:
    """The outputs of one worker with tiles larger than the slide."""
    out = tmp_path_factory.mktemp("expected")
    (report,) = predicted(svs_slide, out, model_file, workers=1, tile_px=2048)
    assert report.nuclei > 100
    return digests(out)


@pytest.mark.parametrize(
    ("tile_px", "workers", "reader"),
    [
        (160, 2, "auto"),
        (256, 1, "openslide"),
        (500, 2, "auto"),
        (1024, 2, "tiffslide"),
        (2048, 2, "tiffslide"),
    ],
)
def test_tiles_workers_and_reader_change_nothing(
    tmp_path: Path,
    svs_slide: Path,
    model_file: Path,
    expected: dict[str, str],
    tile_px: int,
    workers: int,
    reader: str,
) -> None:
    predicted(svs_slide, tmp_path, model_file, tile_px=tile_px, workers=workers, reader=reader)
    assert digests(tmp_path) == expected


def test_resampled_slides_are_the_same_for_any_tiling(
    tmp_path: Path, svs_slide: Path, model_file: Path
) -> None:
    found = []
    for tile_px, reader in ((300, "openslide"), (2048, "tiffslide")):
        out = tmp_path / str(tile_px)
        predicted(svs_slide, out, model_file, tile_px=tile_px, mpp=0.37, reader=reader)
        found.append(digests(out))
    assert found[0] == found[1]


def test_a_network_that_sees_stains_finds_the_same_for_any_tiling_and_reader(
    tmp_path: Path, svs_slide: Path, model_file: Path
) -> None:
    model = load_model(model_file)
    save_model(tmp_path / "stains.safetensors", model.network, replace(model.info, input="stains"))
    found = []
    for tile_px, reader in ((300, "openslide"), (2048, "tiffslide")):
        out = tmp_path / str(tile_px)
        predicted(svs_slide, out, tmp_path / "stains.safetensors", tile_px=tile_px, reader=reader)
        found.append(digests(out))
    assert found[0] == found[1]


def test_confidence_and_nuclei_are_those_of_the_whole_image_in_memory(
    tmp_path: Path, svs_slide: Path, model_file: Path
) -> None:
    predicted(svs_slide, tmp_path, model_file, tile_px=300, tissue=TissueConfig(detect=False))
    confidence, labels = (array(tmp_path / "slide.zarr", name) for name in ("0", "labels/nuclei/0"))
    with open_slide(svs_slide) as slide:
        view = SlideView(slide, 0.25)
        whole = (
            Kernel.of(load_model(model_file), "cpu", 1).load().confidence(view.read(view.frame), rgb_table())
        )
    # windows of another shape are summed in another order: a rounding step at most
    assert np.abs(confidence / 255 - whole).max() < 0.5 / 255 + 1e-4

    found = whole_nuclei(confidence, 0.25, ObjectsConfig())
    assert ((labels > 0) == (found.labels > 0)).all()
    pairs = np.unique(np.stack([labels[labels > 0], found.labels[labels > 0]]), axis=1)
    assert pairs.shape[1] == labels.max() == len(found.markers)


def test_a_damaged_tile_leaves_the_same_gap_for_any_tiling_and_reader(
    tmp_path: Path, svs_slide: Path, model_file: Path
) -> None:
    with tifffile.TiffFile(svs_slide) as tiff:
        offset, size = tiff.pages[0].dataoffsets[7], tiff.pages[0].databytecounts[7]
    data = bytearray(svs_slide.read_bytes())
    data[offset + size // 2 : offset + size] = bytes(size - size // 2)
    (tmp_path / "slide.svs").write_bytes(data)
    found, failures = [], []
    for tile_px, reader in ((300, "openslide"), (2048, "tiffslide")):
        out = tmp_path / str(tile_px)
        (report,) = predicted(tmp_path / "slide.svs", out, model_file, tile_px=tile_px, reader=reader)
        assert (report.state, report.failed_tiles) == ("incomplete", 1)
        assert "level 0, x " in json.loads((out / "run.json").read_text())["slides"][0]["cause"]
        found.append(digests(out))
        failures.append(SlideStore(out / "slide.zarr").provenance["failures"])
    assert found[0] == found[1]
    assert failures[0] == failures[1]
    assert [(failure["row"], failure["col"]) for failure in failures[0]] == [(0, 0)]


def nuclei_of(store: SlideStore) -> tuple[pa.Table, NDArray[np.uint32]]:
    """Run the stages after the network; return the records and the label image."""
    job = SlideJob(store, ObjectsConfig(), 0.5)
    with open_cluster(None, 1) as cluster:
        list(cluster.run(job, plan(job, FINDING)))
        tables = list(numbered_nuclei(store))
        store.write_keys(sorted_keys(store))
        list(cluster.run(job, plan(job, PAINTING)))
    return pa.concat_tables(tables) if tables else None, np.asarray(store.array("labels/nuclei/0")[:])


# corners of tiles of 64, 100 and 256 px lie near many of these, and a radius of 60 px is larger than a tile
place = st.tuples(st.floats(-0.05, 1.05), st.floats(-0.05, 1.05), st.floats(2, 60), st.floats(0.6, 1.7))


@settings(max_examples=12, deadline=None)
@given(
    width=st.integers(40, 420),
    height=st.integers(40, 420),
    places=st.lists(place, max_size=14),
    tile_px=st.sampled_from([64, 100, 256]),
)
def test_any_nuclei_are_the_same_in_tiles_as_in_one_piece(
    tmp_path_factory: pytest.TempPathFactory,
    width: int,
    height: int,
    places: list[tuple[float, float, float, float]],
    tile_px: int,
) -> None:
    confidence = disks(width, height, places)
    folder = tmp_path_factory.mktemp("disks")
    table, labels = nuclei_of(store_of(folder / "tiles", confidence, tile_px))

    found = whole_nuclei(confidence, 0.25, ObjectsConfig())
    half = confidence[::2, ::2]
    whole = describe(found, lambda box: half[box.y0 : box.y1, box.x0 : box.x1], 0.25, 1.0, ObjectsConfig())
    assert np.array_equal(labels, found.labels)  # one cell of the numbering: its order is the raster's
    if table is None:
        assert whole.num_rows == 0
    else:
        assert table.drop_columns("id").equals(whole)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "settings_"),
    [
        ("CMU-1-Small-Region", {"mpp": 1.0}),
        ("TCGA-CR-7395-01A-01-TS1", {"mpp": 2.0, "slide_mpp": 1.0}),
    ],
)
def test_real_slides_are_the_same_for_any_tiling(
    tmp_path: Path, shared_data: Path, model_file: Path, name: str, settings_: dict[str, float]
) -> None:
    found = []
    for tile_px in (256, 500, 1024, 2048):
        out = tmp_path / str(tile_px)
        (report,) = predicted(
            shared_data / "slides" / f"{name}.svs", out, model_file, tile_px=tile_px, **settings_
        )
        assert report.state == "done", report.cause
        found.append(digests(out, name))
    assert found[1:] == found[:1] * 3
