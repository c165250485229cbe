"""No file that wsiseg did not make, and no input of any run, is replaced or deleted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from command_line import Command
from hypothesis import given
from hypothesis import strategies as st
from outputs import predicted, summary
from PIL import Image

from wsiseg.config import ObjectsConfig, PredictConfig, TissueConfig
from wsiseg.errors import StoreError, UsageError
from wsiseg.inference.harmless import refuse_harm
from wsiseg.inference.place import Place
from wsiseg.objects.geojson import GeoJSONWriter
from wsiseg.objects.parquet import ParquetWriter
from wsiseg.slides.expand import expand
from wsiseg.store.outputs import Outputs

NAMES = ("a", "A b", "täglich", "x.part01", "slide.zarr", "[a]*", "a.geojson")
WRITTEN = (
    "{}.zarr", "{}.zarr.unfinished", "{}.geojson", "{}.geojson.gz", "{}.part01.geojson", "{}.parquet",
    "{}.preview.jpg", "report/{}/index.html", "report/{}/thumbnail.jpg", "summary.csv", "run.json",
    "index.html",
)  # fmt: skip
BESIDE = ("{}.png.txt", "{}.part1-notes.geojson", ".{}.geojson.partial", "{}.geojson.partial", "{}.json")
SECRET = b"a day's work"


def put(path: Path, how: str, given: Path) -> None:
    """Put something of the user's at a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == "file":
        path.write_bytes(SECRET)
    elif how == "folder":
        path.mkdir()
        (path / "notes.txt").write_bytes(SECRET)
    elif how == "link to the input":
        path.symlink_to(given)
    elif how == "the input":
        os.link(given, path)
    else:
        path.symlink_to(path.parent / "nowhere")


def contents(folder: Path) -> dict[str, bytes | str]:
    """Return every file and link below a folder."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@given(
    name=st.sampled_from(NAMES),
    placed=st.dictionaries(
        st.sampled_from(WRITTEN + BESIDE),
        st.sampled_from(["file", "folder", "link to the input", "the input", "dangling"]),
        max_size=4,
    ),
    overwrite=st.booleans(),
    gzip=st.booleans(),
    split=st.sampled_from([None, 5]),
)
def test_what_is_in_the_way_is_named_and_stays(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    placed: dict[str, str],
    overwrite: bool,
    gzip: bool,
    split: int | None,
) -> None:
    folder = tmp_path_factory.mktemp("out")
    picture = folder / f"{name}.png"
    Image.new("RGB", (3, 3)).save(picture)
    (source,) = expand([str(picture)], 0.25)
    for form, how in placed.items():
        put(folder / form.format(source.name), how, picture)
    config = PredictConfig(overwrite=overwrite, gzip=gzip, split=split)
    not_written = {
        "{}.geojson" if gzip else "{}.geojson.gz",
        *(["{}.part01.geojson"] if not split or gzip else []),
    }
    in_the_way = {folder / form.format(source.name) for form in placed if form in WRITTEN} - {
        folder / form.format(source.name) for form in not_written
    }
    before = contents(folder)
    if in_the_way:
        with pytest.raises(UsageError) as refused:
            refuse_harm([source], Place(folder), config)
        assert {line.strip() for line in str(refused.value).splitlines()[1:-1]} == set(map(str, in_the_way))
    else:
        refuse_harm([source], Place(folder), config)
    outputs = Outputs(folder, source.name, gzip)
    outputs.remove()
    outputs.remove_torso()
    assert contents(folder) == before
    shutil.rmtree(folder)


@pytest.mark.slow
def test_a_folder_of_pictures_holds_its_own_outputs(
    tmp_path: Path, small_slide: Path, model_file: Path, command: Command
) -> None:
    shutil.copy(small_slide, tmp_path / "b.png")
    before = (tmp_path / "b.png").read_bytes()
    for _ in range(2):
        done = command("predict", ".", "-o", ".", "-m", model_file, "--slide-mpp", 0.25, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "1 of 1 slides done" in done.stdout
    assert (tmp_path / "b.png").read_bytes() == before
    assert (tmp_path / "b.preview.jpg").exists()

    edited = tmp_path / "b.geojson"
    edited.write_text('{"type":"FeatureCollection","features":[]}')
    for again in (["--overwrite"], ["--overwrite", "--threshold", "0.6"]):
        done = command("predict", ".", "-o", ".", "-m", model_file, "--slide-mpp", 0.25, *again, cwd=tmp_path)
        assert done.returncode == 2, done.stdout
        assert "\n  b.geojson\n" in done.stderr
        assert edited.read_text() == '{"type":"FeatureCollection","features":[]}'
        assert (tmp_path / "b.zarr").is_dir()
    for arguments in (["export", "b.zarr"], ["export", "b.zarr", "--threshold", "0.6"]):
        done = command(*arguments, cwd=tmp_path)
        assert done.returncode != 0
        assert "b.geojson" in done.stderr
        assert edited.read_text() == '{"type":"FeatureCollection","features":[]}'


def test_inputs_of_this_run_and_of_earlier_ones_stay(
    tmp_path: Path, small_slide: Path, model_file: Path
) -> None:
    slide, out = tmp_path / "small.png", tmp_path / "out"
    shutil.copy(small_slide, slide)
    predicted(slide, out, model_file, slide_mpp=0.25)
    # Its own nuclei as the tissue of the next run: they carry the mark and are an input.
    mask = TissueConfig(mask=str(out / "small.geojson"))
    with pytest.raises(UsageError, match=r"\n  .*small\.geojson\n"):
        predicted(slide, out, model_file, slide_mpp=0.25, tissue=mask, overwrite=True)
    other = tmp_path / "other"
    os.mkdir(other)
    os.link(out / "small.geojson", other / "tissue.geojson")
    mask = TissueConfig(mask=str(other / "tissue.geojson"))
    with pytest.raises(UsageError, match=r"\n  .*small\.geojson\n"):
        predicted(slide, out, model_file, slide_mpp=0.25, tissue=mask, overwrite=True)
    predicted(slide, other, model_file, slide_mpp=0.25, tissue=mask)
    os.rename(other / "small.geojson", other / "kept.geojson")
    os.rename(other / "tissue.geojson", other / "small.geojson")
    (other / "run.json").write_text(
        (other / "run.json").read_text().replace("tissue.geojson", "small.geojson")
    )
    with pytest.raises(UsageError, match=r"\n  .*small\.geojson\n"):
        predicted(slide, other, model_file, slide_mpp=0.25, overwrite=True)


def test_a_finished_slide_keeps_what_somebody_edited(
    tmp_path: Path, small_slide: Path, model_file: Path
) -> None:
    predicted(small_slide, tmp_path, model_file, slide_mpp=0.25)
    edited = tmp_path / "small.geojson"
    edited.write_bytes(SECRET)
    (report,) = predicted(small_slide, tmp_path, model_file, slide_mpp=0.25)
    assert report.state == "skipped"
    (tmp_path / "small.parquet").unlink()
    (report,) = predicted(small_slide, tmp_path, model_file, slide_mpp=0.25)
    assert report.state == "kept"
    assert "small.geojson: wsiseg did not make this file" in report.cause
    assert edited.read_bytes() == SECRET


def test_a_finished_slide_keeps_its_row_when_its_file_is_gone(
    tmp_path: Path, small_slide: Path, model_file: Path
) -> None:
    slides = [tmp_path / "a.png", tmp_path / "b.png"]
    for slide in slides:
        shutil.copy(small_slide, slide)
    out = tmp_path / "out"
    first, _ = predicted(slides, out, model_file, slide_mpp=0.25)
    slides[0].unlink()
    slides[0].write_bytes(b"cut")
    gone, there = predicted(slides, out, model_file, slide_mpp=0.25)
    assert (gone.state, there.state) == ("kept", "skipped")
    assert summary(out)["a"]["nuclei"] == str(first.nuclei)
    assert summary(out)["a"]["state"] == "done"
    assert f" kept {slides[0]}: " in (out / "wsiseg.log").read_text()


@pytest.mark.slow
def test_fit_and_predict_keep_out_of_each_others_folders(
    tmp_path: Path, small_slide: Path, model_file: Path, command: Command
) -> None:
    predicted(small_slide, tmp_path, model_file, slide_mpp=0.25, objects=ObjectsConfig(threshold=0.5))
    done = command("fit", small_slide, "-o", tmp_path, "--slide-mpp", 0.25, "--overwrite")
    assert done.returncode == 2
    assert "holds a run of `wsiseg predict`" in done.stderr


@pytest.mark.slow
def test_evaluate_report_and_demo_keep_what_is_not_theirs(
    tmp_path: Path, small_slide: Path, model_file: Path, command: Command
) -> None:
    predicted(small_slide, tmp_path, model_file, slide_mpp=0.25)
    for name in ("scores.csv", "index.html", "synthetic-0.svs"):
        (tmp_path / name).write_bytes(SECRET)
    store = tmp_path / "small.zarr"
    for arguments in (
        ("evaluate", store, store, "-o", tmp_path / "scores.csv"),
        ("report", tmp_path),
        ("demo", "-o", tmp_path),
    ):
        done = command(*arguments)
        assert done.returncode == 2, done.stdout
        assert "wsiseg did not make these files" in done.stderr
    for name in ("scores.csv", "index.html", "synthetic-0.svs"):
        assert (tmp_path / name).read_bytes() == SECRET


@pytest.mark.parametrize("writer", [GeoJSONWriter, ParquetWriter])
def test_a_file_that_comes_while_a_slide_is_worked_on_stays(
    tmp_path: Path, writer: type[GeoJSONWriter | ParquetWriter]
) -> None:
    path = tmp_path / f"small.{writer.__name__.removesuffix('Writer').lower()}"
    with pytest.raises(StoreError, match="wsiseg did not make this file"), writer(path):
        path.write_bytes(SECRET)
    assert contents(tmp_path) == {path.name: SECRET}
