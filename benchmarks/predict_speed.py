"""How fast `predict` is: against the bare network, and against the straightforward pipeline, in one run.

    python benchmarks/predict_speed.py [--side 4096] [--rounds 3] [--json FILE]

One generated slide, dense with tissue (JPEG tiles), is predicted with all default outputs. Rows: the network
alone on the blocks that predict computes (halos are cost, not work), `wsiseg predict` as a process and inside
one, and the naive pipeline: OpenSlide tiles of 1024 px without halo, eager torch, scikit-image's opening,
closing and distance watershed, json.dump. MP are level-0
pixels; the shipped model works at 0.5 um per pixel, the naive pipeline at 0.25.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from openslide import OpenSlide
from scipy import ndimage as ndi
from skimage import feature, measure, morphology, segmentation

import wsiseg
from wsiseg.config import PredictConfig
from wsiseg.inference.engine import make_engine
from wsiseg.inference.store import SHARD_PX
from wsiseg.network.appearance import rgb_table
from wsiseg.network.architecture import RADIUS_PX
from wsiseg.network.fcnn import to_input
from wsiseg.network.model import load_model
from wsiseg.slides import open_slide
from wsiseg.slides.synthetic import SyntheticSlide, write_synthetic
from wsiseg.slides.tiles import Grid
from wsiseg.slides.view import SlideView


def network_alone(slide: Path, workers: int) -> float:
    """Seconds of the network on windows that are in memory already."""
    model = load_model()
    engine = make_engine(model, "cpu", workers)
    with open_slide(slide) as opened:
        view = SlideView(opened, model.info.mpp)
        grid = Grid(view.width, view.height, SHARD_PX, RADIUS_PX)
        windows = [(view.read(tile.window), rgb_table()) for tile in grid]
    with ThreadPoolExecutor(workers) as pool:
        return timed(lambda: list(pool.map(lambda window: engine.confidence(*window), windows)))


def predict_inside(slide: Path, out: Path, workers: int) -> None:
    wsiseg.predict(slide, out, config=PredictConfig(workers=workers, device="cpu", overwrite=True))


def predict_process(slide: Path, out: Path, workers: int) -> None:
    command = [
        sys.executable,
        "-m",
        "wsiseg",
        "predict",
        str(slide),
        "-o",
        str(out),
        "-w",
        str(workers),
        "-q",
    ]
    subprocess.run([*command, "--device", "cpu", "--overwrite"], check=True)


def naive(slide: Path, out: Path) -> None:
    network = load_model().network
    opened = OpenSlide(slide)
    width, height = opened.dimensions
    features = []
    for y in range(0, height, 1024):
        for x in range(0, width, 1024):
            rgb = np.asarray(opened.read_region((x, y), 0, (1024, 1024)))[:, :, :3]
            with torch.no_grad():
                mask = network(to_input(rgb))[0, 0].numpy() > 0.5
            for radius in (3, 1):
                mask = morphology.closing(
                    morphology.opening(mask, morphology.disk(radius)), morphology.disk(radius)
                )
            depth = ndi.distance_transform_edt(mask)
            peaks = feature.peak_local_max(depth, min_distance=7, labels=measure.label(mask))
            seeds = np.zeros(mask.shape, int)
            seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
            for region in measure.regionprops(segmentation.watershed(-depth, seeds, mask=mask)):
                for ring in measure.find_contours(np.pad(region.image, 1), 0.5)[:1]:
                    points = (ring[:, ::-1] + [x + region.bbox[1], y + region.bbox[0]]).tolist()
                    features.append(
                        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [points]}}
                    )
    with (out / "naive.geojson").open("w") as file:
        json.dump({"type": "FeatureCollection", "features": features}, file)


def timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=4096, help="pixels of the slide's side")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.workers)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slide = write_synthetic(
            folder / "slide.svs", SyntheticSlide(options.side, options.side, tissue_share=1, pen=False)
        )
        out = folder / "out"
        out.mkdir()
        rows: dict[str, Callable[[], float]] = {
            "network alone": lambda: network_alone(slide, options.workers),
            "wsiseg.predict, all outputs": lambda: timed(lambda: predict_inside(slide, out, options.workers)),
            "wsiseg predict, as a process": lambda: timed(
                lambda: predict_process(slide, out, options.workers)
            ),
            "naive pipeline": lambda: timed(lambda: naive(slide, out)),
        }
        predict_inside(slide, out, options.workers)
        seconds = {row: [] for row in rows}
        for _ in range(options.rounds):
            for row, run in rows.items():
                seconds[row].append(run())
    report(seconds, options.side**2 / 1e6, options)


def report(seconds: dict[str, list[float]], megapixels: float, options: argparse.Namespace) -> None:
    base = statistics.median(seconds["wsiseg.predict, all outputs"])
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {options.workers} workers, {megapixels:.1f} MP at 0.25 um per pixel (1 mm2 is 16 MP)")
    print("| what | seconds (median) | MP/s | time relative to wsiseg.predict |\n|---|---|---|---|")
    for row, values in seconds.items():
        middle = statistics.median(values)
        print(f"| {row} | {middle:.2f} | {megapixels / middle:.2f} | {middle / base:.2f} |")
    if options.json:
        options.json.write_text(
            json.dumps({"megapixels": megapixels, "workers": options.workers, "seconds": seconds})
        )


if __name__ == "__main__":
    main()
