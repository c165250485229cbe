"""A model that gives each slide a threshold of its own: from its tissue alone, kept in the store."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from outputs import digests, predicted, summary
from PIL import Image

from wsiseg import export
from wsiseg.config import ObjectsConfig, TissueConfig
from wsiseg.network.model import load_model, save_model
from wsiseg.store.damage import damage_in
from wsiseg.store.slide_store import SlideStore

# Far from what suits the field.
USUAL = 0.75


@pytest.fixture(scope="module")
def adaptive(tmp_path_factory: pytest.TempPathFactory, model_file: Path) -> Path:
    """The model set by hand, made adaptive."""
    model, path = load_model(model_file), tmp_path_factory.mktemp("adaptive") / "model.safetensors"
    save_model(path, model.network, dataclasses.replace(model.info, adaptive=True, threshold=USUAL))
    return path


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of 700 x 560 px with more than 100 nuclei, small enough to be looked at as a whole."""
    from wsiseg.synthetic import SyntheticSlide, write_synthetic_image

    slide = SyntheticSlide(700, 560, seed=1, tissue_share=1.0, pen=False, stain_variation=0.0)
    return write_synthetic_image(tmp_path_factory.mktemp("slides") / "field.png", slide)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, field: Path, adaptive: Path) -> Path:
    folder = tmp_path_factory.mktemp("out")
    predicted(field, folder, adaptive, slide_mpp=0.25)
    return folder


def test_it_is_another_than_the_model_s_and_kept_in_the_store(out: Path) -> None:
    store = SlideStore(out / "field.zarr")
    assert damage_in(store.path) is None
    assert 0.2 <= store.threshold <= 0.8
    assert store.threshold != USUAL


def test_turned_slides_have_as_many_nuclei(field: Path, adaptive: Path, out: Path, tmp_path: Path) -> None:
    with Image.open(field) as image:
        for name, turn in (
            ("left", Image.Transpose.ROTATE_90),
            ("mirrored", Image.Transpose.FLIP_LEFT_RIGHT),
        ):
            image.transpose(turn).save(tmp_path / f"{name}.png")
    reports = predicted(
        [tmp_path / "left.png", tmp_path / "mirrored.png"], tmp_path / "out", adaptive, slide_mpp=0.25
    )
    upright = int(summary(out)["field"]["nuclei"])
    assert upright > 100
    assert [report.nuclei for report in reports] == pytest.approx([upright] * 2, rel=0.03)


def test_the_same_threshold_given_finds_the_same_nuclei(
    out: Path, field: Path, model_file: Path, tmp_path: Path
) -> None:
    chosen = ObjectsConfig(threshold=SlideStore(out / "field.zarr").threshold)
    predicted(field, tmp_path, model_file, slide_mpp=0.25, objects=chosen)
    names = ("field.parquet", "0", "labels/nuclei/0")
    assert {n: digests(tmp_path, "field")[n] for n in names} == {n: digests(out, "field")[n] for n in names}


@pytest.mark.slow
def test_on_a_slide_tiles_and_workers_change_nothing(svs_slide: Path, adaptive: Path, tmp_path: Path) -> None:
    predicted(svs_slide, tmp_path / "a", adaptive, tile_px=2048, workers=1)
    predicted(svs_slide, tmp_path / "b", adaptive, tile_px=300, workers=3)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert 0.2 <= SlideStore(tmp_path / "a" / "slide.zarr").threshold <= 0.8


@pytest.mark.slow
def test_a_region_has_the_threshold_of_its_slide(svs_slide: Path, adaptive: Path, tmp_path: Path) -> None:
    whole = predicted(svs_slide, tmp_path / "whole", adaptive)[0]
    drawn = np.zeros((118, 150), np.uint8)
    drawn[:30, :30] = 255  # glass
    Image.fromarray(drawn).save(tmp_path / "corner.png")
    for name, tissue in (
        ("corner", TissueConfig(mask=str(tmp_path / "corner.png"))),
        ("all", TissueConfig(detect=False)),
    ):
        part = predicted(svs_slide, tmp_path / name, adaptive, tissue=tissue)[0]
        assert part.threshold == whole.threshold
        assert summary(tmp_path / name)["slide"]["threshold"] == str(whole.threshold)
        assert part.nuclei == (whole.nuclei if name == "all" else 0)
    again = predicted(svs_slide, tmp_path / "whole", adaptive)[0]
    assert (again.state, again.threshold) == ("skipped", whole.threshold)


def test_lost_files_and_exports_are_of_the_same_threshold(
    out: Path, field: Path, adaptive: Path, tmp_path: Path
) -> None:
    before = digests(out, "field")
    assert export(out / "field.zarr", tmp_path / "export").nuclei > 0
    assert (tmp_path / "export" / "field.geojson").read_bytes() == (out / "field.geojson").read_bytes()
    shutil.copytree(out, tmp_path / "again")
    (tmp_path / "again" / "field.parquet").unlink()
    report = predicted(field, tmp_path / "again", adaptive, slide_mpp=0.25)[0]
    assert (report.state, digests(tmp_path / "again", "field")) == ("skipped", before)


def test_another_threshold_is_refused_in_words(out: Path, field: Path, adaptive: Path) -> None:
    given = ObjectsConfig(threshold=0.5)
    report = predicted(field, out, adaptive, slide_mpp=0.25, objects=given)[0]
    assert "objects.threshold: the slide's own there, 0.5 asked for" in report.cause


def test_a_slide_without_tissue_takes_the_model_s(adaptive: Path, tmp_path: Path) -> None:
    Image.new("RGB", (400, 300), (245, 245, 245)).save(tmp_path / "glass.png")
    predicted(tmp_path / "glass.png", tmp_path / "out", adaptive, slide_mpp=0.25)
    assert SlideStore(tmp_path / "out" / "glass.zarr").threshold == USUAL
