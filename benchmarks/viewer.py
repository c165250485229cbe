"""How long the viewer takes to answer, on a slide of 60,000 px with 300,000 nuclei.

    python benchmarks/viewer.py [--side 60000] [--nuclei 300000] [--work FOLDER] [--json FILE]

`wsiseg view` runs as a process and is asked over HTTP, one request after the other, as a browser asks it:
tiles at random places of the tissue, each once, so that no cache answers. The slide is a generated picture
laid side by side (tiled TIFF, JPEG, levels of 1, 4, 16 and 64); nuclei of random shapes lie in clusters, and
the store holds a confidence to match.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pyarrow as pa
import shapely
import tifffile
from harness.machine import machine
from numpy.typing import NDArray
from PIL import Image

from wsiseg.config import ObjectsConfig
from wsiseg.objects.parquet import ParquetWriter, file_schema
from wsiseg.slides import open_slide
from wsiseg.slides.tissue import Tissue
from wsiseg.store.identity import FrameInfo, Identity
from wsiseg.store.layout import create_store
from wsiseg.store.slide_store import SlideStore
from wsiseg.synthetic import SyntheticSlide, write_synthetic_image

MPP_L0, SCALE_L0 = 0.25, 2.0
TILE_PX, PICTURE_PX, BAND_PX = 512, 2048, 1024
OUTLINE_POINTS = 18
CLUSTERS, CLUSTER_L0 = 60, 2200
SORT_CELL_L0 = 4096
REQUESTS = 150


def make_slide(path: Path, side: int) -> None:
    """Write a pyramid whose every level repeats one picture."""
    small = path.with_suffix(".png")
    write_synthetic_image(small, SyntheticSlide(PICTURE_PX, PICTURE_PX, seed=5, tissue_share=1.0, pen=False))
    rgb = np.asarray(Image.open(small))
    across = PICTURE_PX // TILE_PX
    tiles = [
        [jpeg(rgb[y : y + TILE_PX, x : x + TILE_PX]) for x in range(0, PICTURE_PX, TILE_PX)]
        for y in range(0, PICTURE_PX, TILE_PX)
    ]

    def laid_out(count: int) -> Iterator[bytes]:
        return (tiles[row % across][col % across] for row in range(count) for col in range(count))

    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for factor in (1, 4, 16, 64):
            pixels = -(-side // factor)
            tiff.write(
                laid_out(-(-pixels // TILE_PX)), shape=(pixels, pixels, 3), dtype=np.uint8,
                tile=(TILE_PX, TILE_PX), photometric="ycbcr", subsampling=(2, 2), compression="jpeg",
                subfiletype=int(factor > 1), metadata=None, resolution=(1e4 / MPP_L0 / factor,) * 2,
                resolutionunit="CENTIMETER",
            )  # fmt: skip


def jpeg(tile: NDArray[np.uint8]) -> bytes:
    packed = imagecodecs.jpeg8_encode(
        np.ascontiguousarray(tile), 85, colorspace="rgb", outcolorspace="ycbcr", subsampling="420"
    )
    return bytes(packed)


def draw_nuclei(side: int, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return centres (n, 2) and outlines (n, points, 2) in level-0 pixels, sorted as `predict` sorts them."""
    rng = np.random.default_rng(0)
    middles = rng.uniform(0.15, 0.85, (CLUSTERS, 2)) * side
    centre = middles[rng.integers(0, CLUSTERS, count)] + rng.normal(0, CLUSTER_L0, (count, 2))
    centre = np.clip(centre, 40, side - 40)
    cell = (centre // SORT_CELL_L0).astype(np.int64)
    centre = centre[np.lexsort((centre[:, 0], centre[:, 1], cell[:, 0], cell[:, 1]))]
    angle = np.linspace(0, 2 * np.pi, OUTLINE_POINTS, endpoint=False)
    radius = rng.uniform(11, 22, (count, 1)) * (1 + rng.normal(0, 0.07, (count, OUTLINE_POINTS)))
    radius = radius * (
        1 + rng.uniform(0, 0.35, (count, 1)) * np.cos(2 * (angle - rng.uniform(0, 7, (count, 1))))
    )
    outline = centre[:, None] + radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return centre, np.round(np.clip(outline, 0, side), 2)


def write_parquet(path: Path, centre: NDArray[np.float64], outline: NDArray[np.float64]) -> None:
    rng = np.random.default_rng(1)
    closed = np.concatenate([outline, outline[:, :1]], axis=1)
    polygons = shapely.polygons(closed)
    area, perimeter = shapely.area(polygons) * MPP_L0**2, shapely.length(polygons) * MPP_L0
    columns: dict[str, Any] = {name: rng.uniform(0.3, 1, len(centre)) for name in file_schema().names}
    columns |= {
        "id": np.arange(1, len(centre) + 1),
        "centroid_x_l0": centre[:, 0], "centroid_y_l0": centre[:, 1],
        "centroid_x_um": centre[:, 0] * MPP_L0, "centroid_y_um": centre[:, 1] * MPP_L0,
        "area_um2": area, "perimeter_um": perimeter,
        "circularity": np.minimum(1, 4 * np.pi * area / perimeter**2),
        "mean_confidence": rng.beta(6, 2, len(centre)) * 0.55 + 0.45,
        "geometry": shapely.to_wkb(polygons),
    }  # fmt: skip
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in file_schema()]
    with ParquetWriter(path) as writer:
        writer.write(pa.Table.from_arrays(arrays, schema=file_schema()))


def make_store(path: Path, slide: Path, side: int, outline: NDArray[np.float64]) -> None:
    """Write a finished store: soft confidence where the nuclei lie, on all levels, and stain to match."""
    frame_px = round(side / SCALE_L0)
    with open_slide(slide) as opened:
        fingerprint = opened.fingerprint
    frame = FrameInfo(frame_px, frame_px, MPP_L0 * SCALE_L0, SCALE_L0)
    identity = Identity("none", fingerprint, frame, {**asdict(ObjectsConfig()), "threshold": 0.45}, {})
    tissue = Tissue(np.ones((1, 1), np.bool_), float(side))
    provenance = {"name": path.stem, "slide": str(slide), "summary": {"nuclei": len(outline)}}
    store = create_store(path, identity, tissue, 2048, provenance)
    rings = np.rint(outline / SCALE_L0).astype(np.int32)
    top, bottom = rings[..., 1].min(axis=1), rings[..., 1].max(axis=1)
    for y in range(0, frame_px, BAND_PX):
        band = np.zeros((min(BAND_PX, frame_px - y), frame_px), np.uint8)
        for ring in rings[(top < y + BAND_PX) & (bottom >= y)]:
            cv2.fillPoly(band, [ring - (0, y)], 255)
        band = cv2.GaussianBlur(band, (0, 0), 1.5)
        store.array("0")[y : y + len(band)] = band
        store.array("haematoxylin")[y // 2 : y // 2 + -(-len(band) // 2)] = band[::2, ::2] // 2
    halve(store)
    store.annotate(state="complete")
    store.remove_work()


def halve(store: SlideStore) -> None:
    for level in range(1, store.levels):
        finer, coarser = store.array(str(level - 1)), store.array(str(level))
        for y in range(0, coarser.shape[0], BAND_PX):
            rows = np.asarray(finer[2 * y : 2 * (y + BAND_PX)])
            rows = np.pad(rows, ((0, rows.shape[0] % 2), (0, rows.shape[1] % 2)), mode="edge")
            blocks = rows.reshape(rows.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3))
            coarser[y : y + len(blocks)] = np.rint(blocks).astype(np.uint8)


class Viewer:
    """A running `wsiseg view`."""

    def __init__(self, store: Path) -> None:
        started = time.perf_counter()
        command = [sys.executable, "-m", "wsiseg", "view", str(store), "--no-browser"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.started_s = time.perf_counter() - started

    def ask(self, what: str) -> tuple[float, bytes]:
        """Return seconds and body of an answer."""
        started = time.perf_counter()
        with urllib.request.urlopen(self.address + what) as answer:
            body = answer.read()
        return time.perf_counter() - started, body

    @property
    def peak_mb(self) -> float:
        """The most memory that the server had so far, in units of 10^6 bytes (Linux)."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return (
            next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM:")) * 1.024e-3
        )

    def close(self) -> None:
        """End it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)


def measure(viewer: Viewer, centre: NDArray[np.float64]) -> dict[str, list[float]]:
    """Return for each kind of request seconds and bytes: p50, p95 and mean size."""
    chance = random.Random(0)
    first_s, _ = viewer.ask("nuclei/0/0/0")
    facts_s, body = viewer.ask("facts")
    facts = json.loads(body)
    rows: dict[str, list[float]] = {}

    def run(name: str, addresses: Callable[[], str], times: int = REQUESTS) -> None:
        asked = list(dict.fromkeys(addresses() for _ in range(times)))
        found = [viewer.ask(address) for address in asked]
        seconds = [seconds for seconds, _ in found]
        size = np.mean([len(body) for _, body in found]) / 1e3
        rows[name] = [len(asked), *(float(v) * 1e3 for v in np.percentile(seconds, (50, 95))), float(size)]

    def place(level: int, scale_l0: float = 1.0) -> str:
        x, y = centre[chance.randrange(len(centre))] / (TILE_PX * 2**level * scale_l0)
        return f"{level}/{int(x)}/{int(y)}"

    for level in range(facts["levels"]):
        run(f"slide, {40 / 2**level:g}x", lambda level=level: f"slide/{place(level)}")
    for level in range(len(facts["confidence"]["sizes"])):
        run(f"confidence, {20 / 2**level:g}x", lambda level=level: f"confidence/{place(level, SCALE_L0)}")
    for level in range(facts["nuclei"]["outline_levels"] + 1):
        run(f"outlines, {40 / 2**level:g}x", lambda level=level: f"nuclei/{place(level)}")
    run("density of the whole slide", lambda: f"density?threshold={chance.uniform(0.45, 0.99)}", 50)

    def clicked() -> str:
        x, y = centre[chance.randrange(len(centre))]
        return f"nucleus?x={x}&y={y}&tolerance=2"

    run("click on a nucleus", clicked)
    run("next least certain", lambda: f"nucleus?rank={chance.randrange(len(centre))}")
    rows["first outlines after the start (index of all nuclei)"] = [1, first_s * 1e3, first_s * 1e3, 0]
    rows["facts"] = [1, facts_s * 1e3, facts_s * 1e3, len(body) / 1e3]
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=60_000, help="level-0 pixels along each side")
    parser.add_argument("--nuclei", type=int, default=300_000)
    parser.add_argument("--work", type=Path, help="folder that keeps slide and store for the next time")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    on = machine()
    with tempfile.TemporaryDirectory() as name:
        folder = (options.work or Path(name)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        slide, store = folder / "large.tif", folder / "large.zarr"
        centre, outline = draw_nuclei(options.side, options.nuclei)
        if not store.exists():
            make_slide(slide, options.side)
            write_parquet(folder / "large.parquet", centre, outline)
            make_store(store, slide, options.side, outline)
        viewer = Viewer(store)
        try:
            rows = measure(viewer, centre)
            peak_mb = viewer.peak_mb
        finally:
            viewer.close()
    print("| request | how many | p50 ms | p95 ms | mean kB |\n|---|---|---|---|---|")
    for what, (count, p50, p95, size) in rows.items():
        print(f"| {what} | {count:.0f} | {p50:.1f} | {p95:.1f} | {size:.0f} |")
    print(f"\nstart {viewer.started_s:.1f} s, peak memory {peak_mb:.0f} MB ({on})")
    if options.json:
        found = {"rows": rows, "start_s": viewer.started_s, "peak_mb": peak_mb}
        options.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
