"""How many nuclei a second one core brings from confidence to polygons in files, at 0.25 and 0.5 um a pixel.

    python benchmarks/objects_speed.py [--side 4096] [--rounds 5] [--json FILE]

The confidence is that of the shipped network on a generated slide, dense with tissue, kept in a store. The
columns are processor time of one thread for a nucleus: clean-up and splitting; measurements and outlines;
GeoJSON and Parquet.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from harness.machine import machine

import wsiseg
from wsiseg.config import PredictConfig
from wsiseg.objects.geojson import GeoJSONWriter
from wsiseg.objects.parquet import ParquetWriter
from wsiseg.objects.records import describe
from wsiseg.objects.segment import segment
from wsiseg.store.slide_store import SlideStore
from wsiseg.synthetic import SyntheticSlide, write_synthetic
from wsiseg.tiles import Box, Grid

ASKED = 20_000


def make_store(folder: Path, slide: Path, mpp: float) -> SlideStore:
    """Predict a slide at a resolution and return its store."""
    out = folder / f"out-{mpp}"
    wsiseg.predict(slide, out, config=PredictConfig(device="cpu", mpp=mpp))
    return SlideStore(out / f"{slide.stem}.zarr")


def measure(store: SlideStore, tile_px: int, rounds: int, folder: Path) -> dict[str, float]:
    """Return nuclei, and the median processor seconds of each part."""
    import pyarrow as pa

    frame, config = store.frame, PredictConfig().objects
    threshold = store.threshold
    confidence, stain = (image.read(image.frame) for image in (store.confidence[0], store.haematoxylin))

    def window(image: np.ndarray, box: Box) -> np.ndarray:
        return image[box.y0 : box.y1, box.x0 : box.x1]

    seconds: dict[str, list[float]] = {"splitting": [], "describing": [], "writing": []}
    for _ in range(rounds + 1):
        spent = dict.fromkeys(seconds, 0.0)
        tables = []
        for tile in Grid(frame.width, frame.height, tile_px):
            begun = time.thread_time()
            found = segment(
                lambda box: window(confidence, box),
                tile.core,
                store.blocks.frame,
                frame.mpp,
                config,
                threshold,
            )
            split = time.thread_time()
            tables.append(describe(found, lambda box: window(stain, box), frame.mpp, frame.scale_l0, config))
            spent["splitting"] += split - begun
            spent["describing"] += time.thread_time() - split
        whole = pa.concat_tables(tables)
        ids = pa.array(np.arange(1, whole.num_rows + 1, dtype=np.uint32))
        begun = time.thread_time()
        with (
            GeoJSONWriter(folder / "a.geojson", "a") as geojson,
            ParquetWriter(folder / "a.parquet") as parquet,
        ):
            table = whole.add_column(0, "id", ids)
            geojson.write(table)
            parquet.write(table)
        spent["writing"] = time.thread_time() - begun
        for part, value in spent.items():
            seconds[part].append(value)
    return {"nuclei": whole.num_rows} | {part: statistics.median(all_[1:]) for part, all_ in seconds.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=4096, help="pixels of the slide's side")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(machine())
    cv2.setNumThreads(1)
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slide = write_synthetic(
            folder / "slide.svs", SyntheticSlide(options.side, options.side, tissue_share=1, pen=False)
        )
        for mpp in (0.5, 0.25):
            store = make_store(folder, slide, mpp)
            found[mpp] = measure(store, PredictConfig().tile_px, options.rounds, folder)
    print("| um per pixel | nuclei | splitting | describing | writing | nuclei a second a core |")
    print("|---|---|---|---|---|---|")
    rates = {}
    for mpp, row in found.items():
        parts = [row[part] for part in ("splitting", "describing", "writing")]
        rates[mpp] = row["nuclei"] / sum(parts)
        micro = " | ".join(f"{1e6 * part / row['nuclei']:.0f} us" for part in parts)
        print(f"| {mpp} | {row['nuclei']:,} | {micro} | {rates[mpp]:,.0f} |")
    if options.json:
        options.json.write_text(json.dumps({"parts": found, "rates": rates}, indent=1) + "\n")
    return int(min(rates.values()) < ASKED)


if __name__ == "__main__":
    sys.exit(main())
