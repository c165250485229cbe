"""Tissue: found on pale, dense, written-on and tiny pictures, not on glass; and the user's own masks."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from small_slides import write_svs, write_tiff

from wsiseg.config import TissueConfig
from wsiseg.errors import UsageError
from wsiseg.slides import open_slide
from wsiseg.slides.overview import read_overview, read_thumbnail
from wsiseg.slides.tissue import Tissue
from wsiseg.slides.tissue_detector import detect, filled
from wsiseg.slides.tissue_finder import everywhere, find_tissue

EOSIN, HAEMATOXYLIN, DAB = (0.3, 1.0, 0.45), (0.9, 1.0, 0.45), (0.45, 1.0, 1.3)
MPP = 8.0


def glass(
    height: int, width: int, colour: tuple[int, int, int] = (240, 238, 242), noise: float = 2.0
) -> NDArray[np.float64]:
    """Return unevenly lit, noisy glass."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    light = 1 - 0.12 * ((y / height - 0.5) ** 2 + (x / width - 0.5) ** 2)
    return np.array(colour) * light[..., None] + rng.normal(0, noise, (height, width, 3))


def jpeg(pixels: NDArray[np.float64], quality: int = 80) -> NDArray[np.uint8]:
    """Return pixels as a JPEG leaves them."""
    clipped = np.clip(pixels, 0, 255).astype(np.uint8)
    return cv2.imdecode(cv2.imencode(".jpg", clipped[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)[
        ..., ::-1
    ]


def stained(
    pixels: NDArray[np.float64], where: NDArray[np.bool_], density: float, stain: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Return pixels seen through stained, uneven tissue."""
    rng = np.random.default_rng(1)
    texture = np.clip(1 + 0.25 * rng.normal(0, 1, where.shape), 0, None)
    return pixels * 10 ** (-density * (texture * where)[..., None] * np.array(stain))


def ellipse(height: int, width: int) -> NDArray[np.bool_]:
    drawn = np.zeros((height, width), np.uint8)
    cv2.ellipse(drawn, (width // 2, height // 2), (width // 4, height // 4), 20, 0, 360, 1, -1)
    return drawn.astype(bool)


@pytest.mark.parametrize(
    "colour",
    [(240, 238, 242), (255, 255, 255), (225, 228, 220), (246, 240, 230), (205, 205, 208), (235, 225, 240)],
)
@pytest.mark.parametrize("noise", [0.0, 2.0, 6.0])
@pytest.mark.parametrize("quality", [95, 30])
def test_an_empty_slide_has_no_tissue(colour: tuple[int, int, int], noise: float, quality: int) -> None:
    assert not detect(jpeg(glass(200, 300, colour, noise), quality), MPP).mask.any()


def test_dust_and_scratches_are_no_tissue() -> None:
    pixels = glass(300, 400)
    rng = np.random.default_rng(2)
    for _ in range(200):
        x, y = int(rng.integers(400)), int(rng.integers(300))
        cv2.circle(pixels, (x, y), int(rng.integers(1, 3)), [float(rng.integers(30, 180))] * 3, -1)
    cv2.line(pixels, (0, 50), (400, 80), (120, 120, 120), 2)
    cv2.line(pixels, (200, 0), (210, 300), (180, 180, 185), 5)
    assert not detect(jpeg(pixels), MPP).mask.any()


@pytest.mark.parametrize("stain", [EOSIN, HAEMATOXYLIN, DAB])
@pytest.mark.parametrize("density", [0.07, 0.15, 0.4, 1.2])
def test_pale_and_dense_tissue_is_found_with_a_narrow_margin(
    stain: tuple[float, float, float], density: float
) -> None:
    if stain == DAB and density < 0.15:
        pytest.skip("nuclei in such slides are found by their counterstain")
    truth = ellipse(300, 400)
    found = detect(jpeg(stained(glass(300, 400), truth, density, stain)), MPP).mask
    assert (found & truth).sum() > 0.99 * truth.sum()
    assert (found & ~truth).sum() < 0.16 * truth.sum()


@pytest.mark.parametrize("density", [0.1, 0.3, 0.8, 1.3])
@pytest.mark.parametrize("shape", [(300, 200), (31, 20), (5, 7), (1, 1)])
def test_a_picture_that_is_all_tissue_is_all_tissue(density: float, shape: tuple[int, int]) -> None:
    pixels = stained(np.full((*shape, 3), 245.0), np.ones(shape, bool), density, EOSIN)
    assert detect(pixels.astype(np.uint8), 8.0 if shape[0] > 100 else 0.25).mask.all()


INKS = {
    "blue": (30, 50, 160),
    "pale blue": (70, 90, 190),
    "green": (20, 110, 60),
    "black": (25, 25, 28),
    "red": (200, 30, 45),
}


@pytest.mark.parametrize("ink", INKS.values(), ids=INKS.keys())
def test_pen_is_left_out_on_glass_and_tissue(ink: tuple[int, int, int]) -> None:
    truth = ellipse(300, 400)
    truth[:, :60] = False
    stroke = np.zeros((300, 400), np.uint8)
    cv2.polylines(stroke, [np.array([[30, 20], [200, 150], [380, 40]])], False, 1, 11)
    pixels = stained(glass(300, 400), truth, 0.3, EOSIN)
    pixels[stroke > 0] = ink
    found = detect(jpeg(pixels), MPP).mask
    assert not found[cv2.erode(stroke, np.ones((5, 5))) > 0].any()
    away = cv2.dilate(stroke, np.ones((15, 15))) == 0
    assert found[truth & away].mean() > 0.99
    assert found[~truth & away].mean() < 0.07


# red absorbed as much as green, as by haematoxylin: only the evenness of ink tells it
DARK_INKS = {"dark blue": (40, 50, 160), "blue violet": (60, 60, 120), "violet": (90, 60, 150)}


@pytest.mark.parametrize("ink", DARK_INKS.values(), ids=DARK_INKS.keys())
def test_ink_of_a_stain_s_colour_is_left_out_and_leaves_the_tissue_as_it_was(
    ink: tuple[int, int, int],
) -> None:
    truth = ellipse(300, 400)
    stroke = np.zeros((300, 400), np.uint8)
    cv2.rectangle(stroke, (15, 15), (385, 285), 255, 6)
    share = cv2.GaussianBlur(stroke, (0, 0), 0.7)[..., None] / 255
    pixels = stained(glass(300, 400), truth, 0.4, HAEMATOXYLIN)
    # an overview is the mean of many pixels: noise and JPEG blocks of level 0 are gone
    without = detect(pixels.clip(0, 255).astype(np.uint8), MPP)
    drawn = pixels * (1 - share) + np.array(ink) * share
    found = detect(drawn.clip(0, 255).astype(np.uint8), MPP)
    assert not found.mask[stroke > 0].any()
    assert (found.core ^ without.core).sum() <= 0.01 * without.core.sum()


@pytest.mark.parametrize("ink", DARK_INKS.values(), ids=DARK_INKS.keys())
@pytest.mark.parametrize("streaky", [False, True])
@pytest.mark.parametrize("cover", [0.35, 1.0])
def test_thin_and_streaky_lines_are_no_tissue(ink: tuple[int, int, int], streaky: bool, cover: float) -> None:
    truth = ellipse(300, 400)
    stroke = np.zeros((300, 400), np.uint8)
    cv2.polylines(stroke, [np.array([[10, 12], [390, 25], [380, 290], [20, 280]])], True, 255, 3)
    rng = np.random.default_rng(0)
    share = cover * stroke[..., None] / 255 * (rng.uniform(0.5, 1, (300, 400, 1)) if streaky else 1.0)
    pixels = stained(glass(300, 400), truth, 0.4, HAEMATOXYLIN)
    drawn = pixels * (1 - share) + np.array(ink) * share
    found = detect(drawn.clip(0, 255).astype(np.uint8), MPP)
    assert not found.mask[stroke > 0].any()
    without = detect(pixels.clip(0, 255).astype(np.uint8), MPP)
    assert np.array_equal(found.core, without.core)


def test_a_thin_strand_of_tissue_is_tissue() -> None:
    strand = np.zeros((300, 400), np.uint8)
    cv2.polylines(strand, [np.array([[20, 40], [200, 150], [380, 60]])], False, 1, 5)
    pixels = stained(glass(300, 400), strand > 0, 0.35, EOSIN)
    pixels = stained(
        pixels, (strand > 0) & (np.random.default_rng(0).random((300, 400)) < 0.3), 0.4, HAEMATOXYLIN
    )
    assert (
        detect(pixels.clip(0, 255).astype(np.uint8), MPP).core[cv2.erode(strand, np.ones((3, 3))) > 0].mean()
        > 0.9
    )


@pytest.mark.parametrize("fill", [0, 4, 255])
def test_what_was_not_scanned_is_as_good_as_glass(fill: int) -> None:
    truth = ellipse(300, 400)
    pixels = jpeg(stained(glass(300, 400), truth, 0.4, HAEMATOXYLIN))
    without = detect(pixels, MPP)
    outside = ~cv2.dilate(truth.astype(np.uint8), np.ones((3, 3))).astype(bool)
    pixels = np.where(outside[..., None], np.uint8(fill), pixels)
    found = detect(pixels, MPP)
    assert found.mask[truth].mean() > 0.99
    assert abs(int(found.core.sum()) - int(without.core.sum())) < 0.06 * without.core.sum()


def test_the_margin_is_no_tissue() -> None:
    truth = ellipse(300, 400)
    found = detect(jpeg(stained(glass(300, 400), truth, 0.4, EOSIN)), MPP)
    assert not (found.core & ~found.mask).any()
    assert found.core.sum() == pytest.approx(truth.sum(), rel=0.06)
    assert found.mask.sum() > 1.05 * found.core.sum()
    assert Tissue(found.mask, 16.0, found.core).share == found.core.mean()


def test_small_holes_are_filled_and_large_or_open_ones_are_not() -> None:
    mask = np.ones((60, 80), bool)
    mask[5:8, 5:8] = mask[20:40, 20:50] = mask[50:60, 70:80] = False
    expected = mask.copy()
    expected[5:8, 5:8] = True
    np.testing.assert_array_equal(filled(mask, 200), expected)


def test_meets_at_and_outlines() -> None:
    mask = np.zeros((3, 5), bool)
    mask[1, 2:4] = True
    tissue = Tissue(mask, 10.0)
    assert tissue.share == pytest.approx(2 / 15)
    assert tissue.meets(0, 0, 21, 11)
    assert not tissue.meets(0, 0, 20, 30)
    assert not tissue.meets(0, 0, 50, 10)
    assert tissue.meets(39.5, 19.5, 100, 100)
    assert not tissue.meets(40, 0, 100, 100)
    assert not tissue.meets(-50, -50, -10, -10)
    x = np.array([19.9, 20.0, 39.9, 40.0, 25, 25, np.nan, -1, 1e12])
    y = np.array([15.0, 10.0, 19.9, 15.0, 9.9, 20, 15, 15, 15])
    assert tissue.at(x, y).tolist() == [False, True, True, False, False, False, False, False, False]
    (outline,) = tissue.outlines_l0()
    assert outline[:, 0].min() == 20
    assert outline[:, 0].max() == 40
    assert outline[:, 1].min() == 10
    assert outline[:, 1].max() == 20
    np.testing.assert_array_equal(outline[0], outline[-1])


@pytest.fixture(scope="module")
def islands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of 2100 x 1500 px at 0.5 mpp with tissue at x 900..1500, y 300..900, with a pyramid."""
    truth = np.zeros((1500, 2100), bool)
    truth[300:900, 900:1500] = True
    pixels = jpeg(stained(glass(1500, 2100), truth, 0.3, EOSIN), 95)
    path = tmp_path_factory.mktemp("islands") / "islands.svs"
    write_svs(path, pixels, factors=(4,), mpp=0.5)
    write_tiff(path.with_name("flat.tif"), pixels, tile=256, photometric="rgb", compression="deflate")
    return path


@pytest.mark.parametrize("name", ["islands.svs", "flat.tif"])
def test_find_tissue_with_and_without_a_pyramid(islands: Path, name: str) -> None:
    slide = open_slide(islands.with_name(name))
    tissue = find_tissue(slide, TissueConfig(), 0.5)
    assert tissue.scale_l0 <= 16
    assert tissue.mask.shape == (-(-1500 // int(tissue.scale_l0)), -(-2100 // int(tissue.scale_l0)))
    assert not tissue.meets(0, 0, 800, 1500)
    assert not tissue.meets(0, 1000, 2100, 1500)
    x, y = np.meshgrid(np.arange(905, 1500, 20.0), np.arange(305, 900, 20.0))
    assert tissue.at(x, y).all()
    assert tissue.share == pytest.approx(600 * 600 / (1500 * 2100), rel=0.6)
    assert everywhere(slide).meets(2099, 1499, 2100, 1500)
    assert find_tissue(slide, TissueConfig(detect=False), 0.5).share == 1


def test_the_overview_is_the_mean_of_blocks(lossless: tuple[Path, list[NDArray[np.uint8]]]) -> None:
    path, levels = lossless
    overview = read_overview(open_slide(path), 7.0)
    assert overview.scale_l0 == 4.0
    np.testing.assert_array_equal(overview.rgb, levels[2])
    overview = read_overview(open_slide(path), 14.5)
    assert overview.scale_l0 == 12.0
    assert overview.rgb.shape == (59, 75, 3)
    expected = levels[2][3:6, 6:9].reshape(-1, 3).mean(0)
    np.testing.assert_allclose(overview.rgb[1, 2], expected, atol=1)


@pytest.mark.parametrize(
    ("longest", "scale", "columns"), [(5000, 1.0, 901), (900, 2.0, 450), (450, 4.0, 225), (100, 8.0, 113)]
)
def test_a_thumbnail_comes_from_the_coarsest_level_that_will_do(
    lossless: tuple[Path, list[NDArray[np.uint8]]], longest: int, scale: float, columns: int
) -> None:
    thumbnail = read_thumbnail(open_slide(lossless[0]), longest)
    assert (thumbnail.scale_l0, thumbnail.rgb.shape[1]) == (scale, columns)


def mask_config(path: Path) -> TissueConfig:
    return TissueConfig(mask=str(path))


@pytest.mark.parametrize("mode", ["L", "1", "RGB", "RGBA", "P", "I;16"])
def test_a_mask_image(islands: Path, tmp_path: Path, mode: str) -> None:
    drawn = np.zeros((150, 210), np.uint8)
    drawn[30:60, 100:140] = 1 if mode != "1" else 255
    image = Image.fromarray(drawn.astype(np.uint16) if mode == "I;16" else drawn)
    image = image if mode == "I;16" else image.convert(mode)
    image.save(tmp_path / "mask.png")
    tissue = find_tissue(open_slide(islands), mask_config(tmp_path / "mask.png"), 0.5)
    assert tissue.scale_l0 == 10
    np.testing.assert_array_equal(tissue.mask, drawn > 0)


def test_a_mask_of_nearly_the_aspect_ratio_is_stretched(islands: Path, tmp_path: Path) -> None:
    drawn = np.zeros((152, 210), np.uint8)
    drawn[76:] = 255
    Image.fromarray(drawn).save(tmp_path / "mask.png")
    tissue = find_tissue(open_slide(islands), mask_config(tmp_path / "mask.png"), 0.5)
    assert tissue.mask.shape == (150, 210)
    assert tissue.mask[75:].all()
    assert not tissue.mask[:75].any()


def polygon(*points: tuple[float, float]) -> list[list[float]]:
    return [list(p) for p in (*points, points[0])]


OUTER = polygon((100, 200), (1300, 200), (1300, 1000), (100, 1000))
HOLE = polygon((500, 400), (900, 400), (900, 800), (500, 800))


AREA = {"type": "Polygon", "coordinates": [OUTER, HOLE]}
AREAS = {"type": "MultiPolygon", "coordinates": [[OUTER, HOLE]]}
DOCUMENTS = [
    AREA,
    {"type": "Feature", "properties": None, "geometry": AREAS},
    {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": AREA}]},
    [{"type": "Feature", "geometry": {"type": "GeometryCollection", "geometries": [AREA]}}],
]


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_a_mask_of_polygons(islands: Path, tmp_path: Path, document: object, bom: str) -> None:
    path = tmp_path / "mask.geojson"
    path.write_text(bom + json.dumps(document), encoding="utf-8")
    tissue = find_tissue(open_slide(islands), mask_config(path), 0.5)
    x = np.array([600.0, 110, 70, 1290, 1340, 700, 480, 2000])
    y = np.array([300.0, 210, 500, 990, 500, 600, 600, 1400])
    inside = [True, True, False, True, False, False, True, False]
    assert tissue.at(x, y).tolist() == inside
    area = tissue.mask.sum() * tissue.scale_l0**2
    assert area == pytest.approx(1200 * 800 - 400 * 400, rel=0.06)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.png", None, "no such"),
        ("text.png", b"hello", "neither an image"),
        ("broken.geojson", b'{"type": "Polygon", ', "cannot be read"),
        ("empty.geojson", b'{"type": "FeatureCollection", "features": []}', "no polygon"),
        ("odd.geojson", b'{"type": "Polygon", "coordinates": [[[0, 0], [1, "x"]]]}', "cannot be read"),
        ("nan.geojson", b'{"type": "Polygon", "coordinates": [[[0, 0], [1, NaN], [1, 1]]]}', "finite"),
        ("numbers.geojson", b"[1, 2]", "not GeoJSON"),
        ("deep.geojson", b"[" * 100_000, "cannot be read"),
        ("missing.geojson", b'{"type": "Polygon"}', "cannot be read"),
    ],
)
def test_masks_that_cannot_be_used(
    islands: Path, tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=says) as caught:
        find_tissue(open_slide(islands), mask_config(tmp_path / name), 0.5)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_mask_of_another_slide_is_refused(islands: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((210, 150), np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(UsageError, match="aspect"):
        find_tissue(open_slide(islands), mask_config(tmp_path / "mask.png"), 0.5)


@pytest.mark.real_data
def test_real_slides_and_fields(shared_data: Path) -> None:
    small = find_tissue(open_slide(shared_data / "slides" / "CMU-1-Small-Region.svs"), TissueConfig(), 0.499)
    assert 0.4 < small.share < 0.45
    assert small.mask.mean() > small.share
    large = find_tissue(
        open_slide(shared_data / "slides" / "TCGA-CR-7395-01A-01-TS1.svs"), TissueConfig(), 1.0
    )
    assert 0.6 < large.share < 0.72
    for path in sorted((shared_data / "monuseg" / "images").glob("*.tif"))[::5]:
        assert find_tissue(open_slide(path), TissueConfig(), 0.25).share > 0.97
    for path in sorted((shared_data / "ihc" / "images").glob("ki67-*.png")):
        assert find_tissue(open_slide(path), TissueConfig(), 0.25).share > 0.7
    pen = find_tissue(open_slide(shared_data / "free" / "tcga-pen.png"), TissueConfig(), 1.0)
    assert 0.88 < pen.share < 0.96


def test_the_mask_of_a_long_and_thin_slide_is_no_finer_than_it_need_be(tmp_path: Path) -> None:
    path = tmp_path / "thin.tif"
    pixels = np.full((150, 40_000, 3), 244, np.uint8)
    write_tiff(path, pixels, tile=256, photometric="rgb", compression="deflate")
    with open_slide(path) as slide:
        assert find_tissue(slide, TissueConfig(), 0.25).mask.size < 2**21
