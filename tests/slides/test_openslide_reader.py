"""The corner of the scan, where a slide has one: QuPath counts from there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from command_line import Command
from outputs import predicted, summary
from scn_files import write_scn

from wsiseg import export
from wsiseg.config import PredictConfig, TissueConfig
from wsiseg.evaluation.label_outlines import read_geojson
from wsiseg.machine.marks import is_ours
from wsiseg.slides import open_slide
from wsiseg.slides.openslide_reader import _bounds, _focus, _offset
from wsiseg.slides.tissue_finder import find_tissue
from wsiseg.slides.tissue_mask import read_mask

X, Y, WIDTH, HEIGHT = SCAN = (300, 120, 460, 380)


def said(*bounds: int) -> dict[str, str]:
    names = ("x", "y", "width", "height")
    return {f"openslide.bounds-{name}": str(value) for name, value in zip(names, bounds, strict=True)}


def test_a_scan_that_does_not_begin_at_the_corner_is_warned_of() -> None:
    assert _bounds(said(1000, 400, 1200, 1000)) == (1000, 400, 1200, 1000)
    (remark,) = _offset(_bounds(said(1000, 400, 1200, 1000)))
    assert "x 1000, y 400" in remark
    assert "--origin scan" in remark


def test_no_bounds_and_bounds_at_the_corner_are_not() -> None:
    assert _bounds({}) is None
    assert _offset(None) == _offset(_bounds(said(0, 0, 1200, 1000))) == ()


def test_focus_levels_of_an_mrxs_are_said() -> None:
    named = {"mirax.HIERARCHICAL.HIER_0_NAME": "Slide zoom level", "mirax.HIERARCHICAL.HIER_0_COUNT": "10"}
    assert _focus(named) == ()
    named |= {"mirax.HIERARCHICAL.HIER_2_NAME": "Microscope focus level"}
    assert _focus(named | {"mirax.HIERARCHICAL.HIER_2_COUNT": "1"}) == ()
    assert _focus(named | {"mirax.HIERARCHICAL.HIER_2_COUNT": "7"}) == (
        "it has 7 focus levels; only the first is read",
    )


@pytest.fixture(scope="module")
def scn(tmp_path_factory: pytest.TempPathFactory, small_slide: Path) -> Path:
    """A scan of tissue inside a slide of 1000 x 800 px."""
    with open_slide(small_slide) as slide:
        pixels = slide.read_region(0, 0, 0, WIDTH, HEIGHT)
    return write_scn(tmp_path_factory.mktemp("scn") / "offset.scn", pixels, (X, Y), (1000, 800), 0.25)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, scn: Path, model_file: Path) -> Path:
    folder = tmp_path_factory.mktemp("out")
    predicted(scn, folder, model_file)
    return folder


def rings(file: Path) -> list[np.ndarray]:
    return [np.array(f["geometry"]["coordinates"][0]) for f in json.loads(file.read_text())["features"]]


def test_coordinates_count_from_the_slide_and_the_file_says_where_the_scan_is(scn: Path, out: Path) -> None:
    root = json.loads((out / "offset.geojson").read_text())
    assert root["wsiseg"] == {"origin": "slide", "scan_l0": list(SCAN)}
    assert is_ours(out / "offset.geojson")
    row = summary(out)["offset"]
    assert (row["scan_x_l0"], row["scan_y_l0"]) == (str(X), str(Y))
    assert json.loads((out / "run.json").read_text())["slides"][0]["scan_x_l0"] == X
    outlines = rings(out / "offset.geojson")
    assert len(outlines) > 10
    assert min(ring[:, 0].min() for ring in outlines) >= X - 1
    assert max(ring[:, 1].max() for ring in outlines) <= Y + HEIGHT + 1


def test_from_the_scan_s_corner_only_the_geojson_differs(out: Path, tmp_path: Path) -> None:
    export(out / "offset.zarr", tmp_path, PredictConfig(origin="scan"))
    assert json.loads((tmp_path / "offset.geojson").read_text())["wsiseg"]["origin"] == "scan"
    assert is_ours(tmp_path / "offset.geojson")
    for here, there in zip(rings(tmp_path / "offset.geojson"), rings(out / "offset.geojson"), strict=True):
        assert np.allclose(here + np.array((X, Y)), there, atol=1e-6)
    assert pq.read_table(tmp_path / "offset.parquet").equals(pq.read_table(out / "offset.parquet"))
    shape = (800, 1000)
    painted = [read_geojson(folder / "offset.geojson", shape) for folder in (tmp_path, out)]
    assert np.array_equal(*painted)


def test_a_finished_slide_gets_its_file_again_with_the_other_corner(
    scn: Path, out: Path, model_file: Path, tmp_path: Path
) -> None:
    predicted(scn, tmp_path, model_file)
    before = (tmp_path / "offset.geojson").read_bytes()
    assert before == (out / "offset.geojson").read_bytes()
    assert predicted(scn, tmp_path, model_file, origin="scan")[0].state == "skipped"
    assert b'"origin":"scan"' in (tmp_path / "offset.geojson").read_bytes()[:100]
    predicted(scn, tmp_path, model_file)
    assert (tmp_path / "offset.geojson").read_bytes() == before


def test_a_mask_that_was_drawn_in_qupath_counts_from_the_scan(tmp_path: Path) -> None:
    square = [[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT], [0, 0]]
    (tmp_path / "mask.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [square]}))
    mask = read_mask(str(tmp_path / "mask.geojson"), (1000, 800), 20.0, (X, Y)).mask
    rows, cols = np.nonzero(mask)
    assert (cols.min() * 20, rows.min() * 20) == (X, Y)
    assert (cols.max() * 20, rows.max() * 20) == pytest.approx((X + WIDTH, Y + HEIGHT), abs=20)


def test_regions_that_were_drawn_in_qupath_count_from_the_scan(scn: Path, tmp_path: Path) -> None:
    square = [[[0, 0], [100, 0], [100, 100], [0, 100], [0, 0]]]
    file = tmp_path / "regions.geojson"
    file.write_text(json.dumps({"type": "Polygon", "coordinates": square}))
    config = TissueConfig(regions=str(file), mpp=2.0)
    with open_slide(str(scn)) as slide:
        for origin, (x, y) in {"slide": (0, 0), "scan": (X, Y)}.items():
            found = find_tissue(slide, config, 0.5, origin)
            rows, cols = np.nonzero(found.core)
            assert (cols.min() * found.scale_l0, rows.min() * found.scale_l0) == pytest.approx((x, y), abs=4)


@pytest.mark.slow
def test_on_the_command_line(command: Command, scn: Path, model_file: Path, tmp_path: Path) -> None:
    done = command("predict", scn, "-m", model_file, "-o", tmp_path, "--origin", "scan")
    assert done.returncode == 0, done.stderr
    assert "its scan begins at x 300, y 120" in done.stdout + done.stderr
    assert b'"origin":"scan"' in (tmp_path / "offset.geojson").read_bytes()[:100]
