"""Invariant 1 over generated slides: tiles, workers, reader and interruptions change no byte of the outputs,
and these are what a plain computation on the whole image gives.

WSISEG_EXAMPLES sets how many slides are tried (8).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from outputs import array, digests, predicted, whole_nuclei

from wsiseg.config import ObjectsConfig, TissueConfig
from wsiseg.inference.observer import PredictObserver
from wsiseg.network.fcnn import to_input
from wsiseg.network.model import load_model
from wsiseg.objects.records import describe
from wsiseg.slides import open_slide
from wsiseg.slides.view import SlideView
from wsiseg.store.slide_store import SlideStore

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("WSISEG_EXAMPLES", "8"))
TILES = (64, 100, 256, 333, 1024, 2048)


@dataclass(frozen=True)
class Picture:
    """A slide to be: dark ellipses (x, y, radius in pixels, stretch) on pink tissue that fades to glass."""

    width: int
    height: int
    nuclei: tuple[tuple[float, float, float, float], ...]
    tissue: tuple[float, float]
    downsamples: tuple[float, ...]
    compression: str
    seed: int

    def pixels(self) -> NDArray[np.uint8]:
        """Return the level-0 pixels."""
        rows, cols = np.mgrid[: self.height, : self.width].astype(np.float32)
        rng = np.random.default_rng(self.seed)
        field = np.full((self.height, self.width, 3), (225, 170, 205), np.float32)
        left, right = sorted(share * self.width for share in self.tissue)
        field[:, (cols[0] < left) | (cols[0] > right)] = 244
        for x, y, radius, stretch in self.nuclei:
            far = np.hypot((cols - x) / stretch, (rows - y) * stretch) / radius
            inside = np.clip(1.6 - far, 0, 1)[..., None]
            field += inside * (np.array((85, 60, 130), np.float32) - field)
        return np.clip(field + rng.normal(0, 3, field.shape), 0, 255).astype(np.uint8)

    def write(self, path: Path) -> None:
        """Write an Aperio slide of 0.25 um per pixel with levels of any size."""
        pixels = self.pixels()
        text = f"Aperio Image Library v12.0\n{self.width}x{self.height} (64x64)|AppMag = 40|MPP = 0.25"
        kind = {"photometric": "rgb", "compression": self.compression, "metadata": None, "description": text}
        with tifffile.TiffWriter(path) as writer:
            writer.write(pixels, tile=(64, 64), **kind)
            writer.write(pixels[:32, :32].copy(), rowsperstrip=32, **kind)
            for downsample in self.downsamples:
                size = (max(1, int(self.width / downsample)), max(1, int(self.height / downsample)))
                level = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
                writer.write(level, tile=(64, 64), **kind)


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    # blocks of the network are 1024 px: some slides are wider than one, most are smaller than a tile
    wide = draw(st.sampled_from([False, False, True]))
    width = draw(st.integers(1030, 1290) if wide else st.integers(41, 420))
    height = draw(st.integers(41, 150 if wide else 420))
    corner = st.builds(
        lambda tile, x, y, dx, dy: (tile * x + dx, tile * y + dy),
        st.sampled_from((64, 100, 256, 333, 1024)), st.integers(0, 4), st.integers(0, 4),
        st.floats(-6, 6), st.floats(-6, 6),
    )  # fmt: skip
    anywhere = st.tuples(st.floats(-10, width + 10), st.floats(-10, height + 10))
    places = draw(st.lists(anywhere | corner, min_size=1, max_size=14))
    shape = st.tuples(st.floats(6, 16) | st.floats(40, 130), st.floats(0.6, 1.7))
    return Picture(
        width,
        height,
        tuple((*place, *draw(shape)) for place in places),
        draw(st.tuples(st.floats(0, 0.5), st.floats(0.5, 1)) | st.just((0.0, 1.0))),
        draw(st.sampled_from([(), (2.0,), (2.37,), (4.0,), (3.0, 7.0)])),
        draw(st.sampled_from(["jpeg", "deflate"])),
        draw(st.integers(0, 9)),
    )


class Stopped(BaseException):
    """Ends a run between two tiles."""


class StopAfter(PredictObserver):
    """Stops a run after some results."""

    def __init__(self, results: int) -> None:
        self.left = results

    def advanced(self, megapixels: float, nuclei: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise Stopped


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(
    picture=pictures(),
    tiles=st.permutations(TILES),
    mpp=st.sampled_from([None, None, None, 0.5, 0.37, 0.2, 1.1]),
    detect=st.booleans(),
    results=st.integers(1, 12),
)
def test_nothing_but_slide_and_model_decides(
    tmp_path_factory: pytest.TempPathFactory,
    model_file: Path,
    picture: Picture,
    tiles: list[int],
    mpp: float | None,
    detect: bool,
    results: int,
) -> None:
    folder = tmp_path_factory.mktemp("slide")
    slide = folder / "slide.svs"
    picture.write(slide)
    chosen = {"mpp": mpp, "tissue": TissueConfig(detect=detect)}

    (report,) = predicted(
        slide, folder / "a", model_file, tile_px=tiles[0], workers=1, reader="openslide", **chosen
    )
    assert report.state == "done", report.cause
    event(f"{min(report.nuclei, 3)} nuclei or more, {report.tiles} blocks")
    predicted(slide, folder / "b", model_file, tile_px=tiles[1], workers=2, reader="tiffslide", **chosen)
    assert digests(folder / "b") == digests(folder / "a")

    stopping = StopAfter(results)
    try:
        predicted(slide, folder / "c", model_file, tile_px=tiles[2], workers=2, observer=stopping, **chosen)
    except Stopped:
        assert not (folder / "c" / "slide.zarr").exists()
        predicted(slide, folder / "c", model_file, tile_px=tiles[3], workers=1, **chosen)
    assert digests(folder / "c") == digests(folder / "a")

    check_against_the_whole_image(slide, folder / "a", model_file, mpp, detect)


def check_against_the_whole_image(
    slide: Path, out: Path, model_file: Path, mpp: float | None, detect: bool
) -> None:
    """Compare outputs with the network on the whole image by torch, and nuclei found in one window."""
    confidence, labels = (array(out / "slide.zarr", name) for name in ("0", "labels/nuclei/0"))
    stain = array(out / "slide.zarr", "haematoxylin")
    with open_slide(slide, "tiffslide") as opened:
        view = SlideView(opened, mpp or 0.25)
        pixels = view.read(view.frame)
    assert confidence.shape == pixels.shape[:2]
    with torch.no_grad():
        whole = load_model(model_file).network(to_input(pixels))[0, 0].numpy()
    computed = np.ones(whole.shape, np.bool_) if not detect else confidence > 0
    # other windows are summed in another order: a rounding step at most
    assert np.abs(confidence / 255 - whole)[computed].max(initial=0) < 0.5 / 255 + 1e-4

    config = ObjectsConfig()
    found = whole_nuclei(confidence, view.mpp, config)
    places_l0 = (found.markers.astype(np.float64) + 0.5) * view.scale_l0
    found = found.kept(SlideStore(out / "slide.zarr").tissue.at(places_l0[:, 1], places_l0[:, 0]))
    assert np.array_equal(labels > 0, found.labels > 0)
    # the frame is one cell of the numbering: ids are in the raster's order
    assert np.array_equal(labels, found.labels)
    plain = describe(
        found, lambda box: stain[box.y0 : box.y1, box.x0 : box.x1], view.mpp, view.scale_l0, config
    )
    written = pq.read_table(out / "slide.parquet")
    # with the polygons, byte for byte
    names = [name for name in written.column_names if name != "id"]
    assert written.select(names).equals(plain.select(names))
