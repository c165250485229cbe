"""Label files of every kind, each written by the test, and what is said of the wrong ones."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from label_files import XML, feature, region, square, store
from PIL import Image
from scipy import io, ndimage

from wsiseg.errors import LabelError
from wsiseg.evaluation import label_images, metrics
from wsiseg.evaluation.labels import load_labels, match_labels, read_labels
from wsiseg.slides.stain import haematoxylin_density

MASK = np.array(
    [
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 1],
    ],
    np.uint8,
)
COMPONENTS = [[1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 2]]
LABELS = np.array([[7, 7, 0, 3], [7, 0, 0, 3]], np.uint16)


def png(path: Path, values: Any, mode: str | None = None) -> Path:
    picture = Image.fromarray(np.asarray(values))
    (picture.convert(mode) if mode else picture).save(path)
    return path


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_has_components_and_no_instances(tmp_path: Path, value: int) -> None:
    labels = load_labels(png(tmp_path / "a.png", MASK * value), MASK.shape)
    assert labels.image.tolist() == COMPONENTS
    assert labels.image.dtype == np.int32
    assert not labels.has_instances


def test_masks_in_other_wrappings(tmp_path: Path) -> None:
    bits = tmp_path / "bits.png"
    Image.fromarray(MASK * 255).convert("1").save(bits)
    grey_rgb = png(tmp_path / "rgb.png", np.repeat(MASK[..., None] * 255, 3, axis=2))
    tifffile.imwrite(tmp_path / "a.tif", MASK * 255, compression="deflate")
    tifffile.imwrite(tmp_path / "b.ome.tif", MASK[None].astype(bool))
    np.save(tmp_path / "c.npy", MASK.astype(bool))
    for file in (bits, grey_rgb, tmp_path / "a.tif", tmp_path / "b.ome.tif", tmp_path / "c.npy"):
        assert read_labels(file, MASK.shape).tolist() == COMPONENTS, file


def test_label_images_of_all_depths(tmp_path: Path) -> None:
    png(tmp_path / "a.png", LABELS.astype(np.uint8))
    png(tmp_path / "b.png", LABELS)
    tifffile.imwrite(tmp_path / "c.tif", LABELS.astype(np.uint32))
    tifffile.imwrite(tmp_path / "d.tiff", LABELS.astype(np.float32))
    io.savemat(tmp_path / "e.mat", {"inst_map": LABELS.astype(float), "type_map": LABELS * 0})
    for file in sorted(tmp_path.iterdir()):
        labels = load_labels(file, (2, 4))
        assert labels.image.tolist() == LABELS.tolist(), file
        assert labels.has_instances


def test_labels_beyond_int32_are_renumbered(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[2**40, 0, 5]]))
    assert read_labels(tmp_path / "a.npy").tolist() == [[2, 0, 1]]


def test_monuseg_xml_x_is_the_column_and_the_first_keeps_its_pixels(tmp_path: Path) -> None:
    first = region((1, -3), (3, -3), (3, 2), (1, 2))
    second = region((2, 1), (5, 1), (5, 3), (2, 3))
    (tmp_path / "a.xml").write_text(XML.format(first + second + region((0, 0), (1, 1))))
    labels = load_labels(tmp_path / "a.xml", (3, 6))
    assert labels.image.tolist() == [[0, 1, 1, 0, 0, 0], [0, 1, 1, 2, 2, 0], [0, 0, 2, 2, 2, 0]]
    assert labels.has_instances


def test_a_negative_region_is_cut_out(tmp_path: Path) -> None:
    whole, cut = (
        region((-1, -1), (9, -1), (9, 9), (-1, 9)),
        region((1, 1), (2, 1), (2, 2), (1, 2), negative=1),
    )
    (tmp_path / "a.xml").write_text(XML.format(cut + whole))
    assert read_labels(tmp_path / "a.xml", (3, 3)).tolist() == [[1, 1, 1], [1, 0, 1], [1, 1, 1]]


def test_geojson_pixels_holes_and_parts(tmp_path: Path) -> None:
    ring = feature([square(0, 0, 3, 3), square(1, 1, 2, 2)])
    parts = feature([[square(4, 0, 5, 1)], [square(4, 2, 6, 3)]], shape="MultiPolygon")
    tissue = feature([square(0, 0, 6, 3)], kind="annotation")
    everything = {"type": "FeatureCollection", "features": [tissue, ring, parts]}
    (tmp_path / "a.geojson").write_text(json.dumps(everything))
    with gzip.open(tmp_path / "b.geojson.gz", "wt") as packed:
        json.dump(everything["features"], packed)
    expected = [[1, 1, 1, 0, 2, 0], [1, 0, 1, 0, 0, 0], [1, 1, 1, 0, 2, 2]]
    for file in ("a.geojson", "b.geojson.gz"):
        assert read_labels(tmp_path / file, (3, 6)).tolist() == expected


def test_geojson_without_kinds_and_with_nuclei_in_cells(tmp_path: Path) -> None:
    plain = tmp_path / "plain.geojson"
    plain.write_text(json.dumps(feature([square(1, 0, 2, 1)], kind=None)))
    assert read_labels(plain, (1, 3)).tolist() == [[0, 1, 0]]
    inner = {"type": "Polygon", "coordinates": [square(2, 0, 3, 1)]}
    cell = tmp_path / "cell.geojson"
    cell.write_text(json.dumps([feature([square(0, 0, 3, 1)], kind="cell", nucleusGeometry=inner)]))
    assert read_labels(cell, (1, 3)).tolist() == [[0, 0, 1]]


def test_outlines_without_a_size_get_one_that_holds_them(tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text(json.dumps([feature([square(2, 1, 4, 2)])]))
    image = read_labels(tmp_path / "a.geojson")
    assert image.sum() == 2
    assert image[1, 2:4].tolist() == [1, 1]


def test_no_nuclei_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    (tmp_path / "a.xml").write_text(XML.format(""))
    png(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
    for file in tmp_path.iterdir():
        assert read_labels(file, (2, 2)).tolist() == [[0, 0], [0, 0]]


def test_a_store_at_a_coarser_resolution_is_enlarged(tmp_path: Path) -> None:
    frame = {"width": 3, "height": 2, "mpp": 0.5, "scale_l0": 2.0}
    path = store(tmp_path / "a.zarr", [[0, 5, 0], [0, 5, 9]], frame)
    expected = np.kron([[0, 5, 0], [0, 5, 9]], np.ones((2, 2), int))
    assert read_labels(path).tolist() == expected.tolist()
    # The slide's own size is not always a whole number of the model's pixels.
    assert read_labels(path, (5, 6)).tolist() == [*expected.tolist(), expected[-1].tolist()]
    with pytest.raises(LabelError, match="6 x 4 px for an image of 6 x 9 px"):
        read_labels(path, (9, 6))


def test_a_store_without_nuclei_or_of_something_else(tmp_path: Path) -> None:
    zarr.open_group(str(tmp_path / "empty.zarr"), mode="w")
    (tmp_path / "nothing.zarr").mkdir()
    for name, message in (("empty.zarr", "without labels/nuclei"), ("nothing.zarr", "not a readable store")):
        with pytest.raises(LabelError, match=message):
            read_labels(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "not a kind of label file"),
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


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[object()]]), allow_pickle=True)
    with pytest.raises(LabelError, match="not a readable array"):
        read_labels(tmp_path / "a.npy")


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


def test_sizes_are_checked_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_images, "MAX_PIXELS", 10)
    for name in ("a.png", "a.tif", "a.npy", "a.mat"):
        path = tmp_path / name
        {"png": lambda p: png(p, MASK), "tif": lambda p: tifffile.imwrite(p, MASK),
         "npy": lambda p: np.save(p, MASK), "mat": lambda p: io.savemat(p, {"inst_map": MASK}),
         }[name[2:]](path)  # fmt: skip
        with pytest.raises(LabelError, match="cannot be scored at once"):
            read_labels(path)
    (tmp_path / "far.geojson").write_text(json.dumps([feature([square(0, 0, 9e8, 9e8)])]))
    with pytest.raises(LabelError, match="cannot be scored at once"):
        read_labels(tmp_path / "far.geojson")


def test_outlines_of_another_image_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text(json.dumps([feature([square(90, 90, 95, 95)])]))
    with pytest.raises(LabelError, match="labels of another image"):
        read_labels(tmp_path / "a.geojson", (10, 10))


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


@pytest.mark.real_data
def test_monuseg_masks_are_its_xml_painted_half_a_pixel_off(shared_data: Path, tmp_path: Path) -> None:
    name = "TCGA-50-5931-01Z-00-DX1"
    mask = load_labels(shared_data / "monuseg" / "masks" / f"{name}.png", (1000, 1000))
    annotation = shared_data / "monuseg" / "annotations" / f"{name}.xml"
    nuclei = load_labels(annotation, (1000, 1000))
    assert (len(np.unique(nuclei.image)) - 1, mask.has_instances, nuclei.has_instances) == (444, False, True)
    (tmp_path / "moved.xml").write_text(
        re.sub(r' ([XY])="([^"]+)"', lambda m: f' {m[1]}="{float(m[2]) + 0.5}"', annotation.read_text())
    )
    moved = load_labels(tmp_path / "moved.xml", (1000, 1000))
    assert metrics.dice(mask.image, moved.image) > 0.998
    assert 0.97 < metrics.dice(mask.image, nuclei.image) < 0.98


@pytest.mark.real_data
@pytest.mark.parametrize("moved", [(1, 0), (0, 1), (1, 1), (-1, -1)])
def test_monuseg_xml_lies_on_the_nuclei_of_its_image(shared_data: Path, moved: tuple[int, int]) -> None:
    folder, name = shared_data / "monuseg", "TCGA-50-5931-01Z-00-DX1"
    density = haematoxylin_density(tifffile.imread(folder / "images" / f"{name}.tif")).astype(float)
    nucleus = load_labels(folder / "annotations" / f"{name}.xml", (1000, 1000)).image > 0
    rim = nucleus & ~ndimage.binary_erosion(nucleus, iterations=2)
    around = ndimage.binary_dilation(nucleus, iterations=2) & ~nucleus

    def contrast(rim: Any, around: Any) -> float:
        return float(density[rim].mean() - density[around].mean())

    assert contrast(rim, around) > contrast(np.roll(rim, moved, (0, 1)), np.roll(around, moved, (0, 1)))
