"""What the browser gets, against the arrays and outlines that it comes from."""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image
from viewed_store import HEIGHT_L0, NUCLEI, THRESHOLD, WIDTH_L0, change, confidence, make_viewed, picture

from wsiseg.errors import SlideError
from wsiseg.tiles import Box
from wsiseg.viewer.content import Content
from wsiseg.viewer.viewed import open_viewed


def outlines_in(data: bytes) -> tuple[np.ndarray, np.ndarray, list[list[np.ndarray]]]:
    """Read a tile of nuclei as the page does: confidence, measurement, and rings of each nucleus."""
    count, rings, points = np.frombuffer(data, "<u4", 3)
    parts, at = [], 12
    for kind, length in [("<f4", count), ("<f4", count), ("<u4", count + 1), ("<u4", rings + 1)]:
        parts.append(np.frombuffer(data, kind, length, at))
        at += 4 * int(length)
    xy = np.frombuffer(data, "<f4", 2 * points, at).reshape(-1, 2)
    assert at + 8 * points == len(data)
    ring_xy = np.split(xy, parts[3][1:-1])
    nuclei = [ring_xy[start:end] for start, end in zip(parts[2][:-1], parts[2][1:], strict=True)]
    return parts[0], parts[1], nuclei


def test_slide_tiles_are_the_slide(content: Content) -> None:
    rgb = np.asarray(Image.open(io.BytesIO(content.slide_tile(0, 1, 1))))
    expected = picture()[512:900, 512:1024]
    assert rgb.shape == expected.shape
    assert np.abs(rgb.astype(int) - expected).mean() < 2
    whole = np.asarray(Image.open(io.BytesIO(content.slide_tile(2, 0, 0))))
    assert whole.shape == (225, 300, 3)
    with pytest.raises(LookupError):
        content.slide_tile(3, 0, 0)


def test_confidence_tiles_are_the_bytes_of_the_store(content: Content) -> None:
    frame = confidence()
    for col, slices in [(0, np.s_[:450, :512]), (1, np.s_[:450, 512:])]:
        found = np.frombuffer(zlib.decompress(content.confidence_tile(0, col, 0)), np.uint8)
        assert np.array_equal(found, frame[slices].ravel())
    found = np.frombuffer(zlib.decompress(content.confidence_tile(1, 0, 0)), np.uint8)
    assert np.array_equal(found.reshape(225, 300), frame[::2, ::2])
    for place in [(2, 0, 0), (0, 2, 0), (0, 0, 1)]:
        with pytest.raises(LookupError):
            content.confidence_tile(*place)


def test_outlines_of_a_tile_count_from_its_corner(content: Content) -> None:
    certain, area, nuclei = outlines_in(content.nuclei_tile(0, 1, 0, "area_um2"))
    assert certain == pytest.approx([NUCLEI[1][1]])
    assert area == pytest.approx([NUCLEI[1][0].area / 16])
    assert np.array_equal(nuclei[0][0] + (512, 0), shapely.get_coordinates(NUCLEI[1][0]))
    # the one over the border is in both tiles
    certain, _, _ = outlines_in(content.nuclei_tile(0, 0, 0, "area_um2"))
    assert certain == pytest.approx([NUCLEI[0][1], NUCLEI[1][1]])
    _, _, nuclei = outlines_in(content.nuclei_tile(0, 1, 1, "area_um2"))
    assert [len(rings) for rings in nuclei] == [2]


def test_coarser_outlines_have_no_more_points_than_can_be_seen(content: Content) -> None:
    assert content.outline_levels == 2
    certain, _, nuclei = outlines_in(content.nuclei_tile(2, 0, 0, "mean_confidence"))
    assert certain == pytest.approx([mean for _, mean in NUCLEI])
    for rings, (outline, _) in zip(nuclei, NUCLEI, strict=True):
        assert np.abs(shapely.bounds(shapely.MultiPoint(np.concatenate(rings))) - outline.bounds).max() <= 4
    for level, measure in [(3, "area_um2"), (0, "geometry"), (0, "id; drop table")]:
        with pytest.raises(LookupError):
            content.nuclei_tile(level, 0, 0, measure)


def test_a_place_that_cannot_be_decoded_is_hatched(content: Content, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(level: int, box: Box) -> None:
        raise SlideError("slide.svs", "broken")

    monkeypatch.setattr(content.viewed.backdrop, "read", broken)
    rgb = np.asarray(Image.open(io.BytesIO(content.slide_tile(0, 2, 0)))).astype(int)
    red = (rgb[..., 0] - rgb[..., 1]) > 70
    assert 0.1 < red.mean() < 0.25


def test_facts_are_what_the_page_needs(content: Content) -> None:
    facts = json.loads(json.dumps(content.facts()))
    assert (facts["width_l0"], facts["height_l0"]) == (WIDTH_L0, HEIGHT_L0)
    assert facts["mpp_l0"] == 0.25
    assert facts["confidence"] == {"scale_l0": 2, "sizes": [[600, 450], [300, 225]]}
    assert facts["threshold"] == THRESHOLD
    # bytes: 0.5 is reached from 128 on, as in the clean-up of `predict`
    assert [facts["threshold_u8"][step] for step in (0, 1, 50, 100)] == [0, 3, 128, 255]
    nuclei = facts["nuclei"]
    assert nuclei["count"] == 5
    assert [nuclei["counts"][step] for step in (0, 40, 45, 46, 55, 91)] == [5, 5, 5, 4, 3, 0]
    assert {measure["column"] for measure in nuclei["measures"]} >= {"area_um2", "mean_confidence"}
    assert facts["failures"] == []
    assert facts["notes"] == []
    ((*_, last),) = facts["tissue"]
    assert 100 <= last[0] <= 1100


def test_a_command_with_spaces_can_be_pasted(viewed_store: Path) -> None:
    content = Content(open_viewed(viewed_store), "my slides/it's.zarr")
    assert content.facts()["export"] == """wsiseg export 'my slides/it'"'"'s.zarr' --threshold"""


def test_failed_blocks_are_framed_and_said(tmp_path: Path) -> None:
    store = make_viewed(tmp_path)
    change(store, failures=[{"row": 0, "col": 0, "cause": "cut off"}])
    content = Content(open_viewed(store), "x.zarr")
    assert content.facts()["failures"] == [{"box_l0": [0, 0, 1200, 900], "cause": "cut off"}]
    assert "1 block of the slide could not be read and is empty" in content.facts()["notes"][0]


def test_without_nuclei_there_are_tiles_still(tmp_path: Path) -> None:
    store = make_viewed(tmp_path)
    (tmp_path / "slide.parquet").unlink()
    content = Content(open_viewed(store), "x.zarr")
    content.prepare()
    assert content.facts()["nuclei"] is None
    assert content.nucleus_at(120, 80, 0) is None
    assert content.confidence_tile(0, 0, 0)
    for ask in (
        lambda: content.density_map(0.5),
        lambda: content.least_certain(0),
        lambda: content.nuclei_tile(0, 0, 0, "area_um2"),
    ):
        with pytest.raises(LookupError):
            ask()
