"""How fast `predict` is: against the bare network, and against the straightforward pipeline, in one run.

    python benchmarks/predict_speed.py [--side 6144] [--rounds 3] [--json FILE]

One generated slide, dense with tissue (JPEG tiles), is predicted with all default outputs. Rows: the
network alone on the blocks that predict computes, from pixels in memory (`network_speed.py` compares it
with others); `wsiseg predict` inside a process and as one, also with the large model; and the naive
pipeline: OpenSlide tiles of 1024 px without halo, eager torch, scikit-image's opening, closing and distance
watershed, json.dump. MP are level-0 pixels; the shipped model works at 0.5 um per pixel, the naive pipeline
at 0.25. A second table says what the threads of predict did.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from harness.machine import Took, machine, took
from openslide import OpenSlide
from scipy import ndimage as ndi
from skimage import feature, measure, morphology, segmentation

import wsiseg
from wsiseg.config import PredictConfig
from wsiseg.inference.slide_report import SlideReport
from wsiseg.network.appearance import rgb_table
from wsiseg.network.architecture import RADIUS_PX
from wsiseg.network.engine import make_engine
from wsiseg.network.fcnn import to_input
from wsiseg.network.model import load_model
from wsiseg.slides import open_slide
from wsiseg.slides.view import SlideView
from wsiseg.store.blocks import SHARD_PX
from wsiseg.synthetic import SyntheticSlide, write_synthetic
from wsiseg.tiles import Grid

BARE, INSIDE = "bare network", "wsiseg.predict, all outputs"
BEFORE_OBJECTS = ("tissue", "threshold", "read", "network")


def windows_of(slide: Path) -> list[tuple[np.ndarray, tuple[slice, slice]]]:
    """Return all blocks that predict computes: pixels with the halo, and where in them the block lies."""
    with open_slide(slide) as opened:
        view = SlideView(opened, load_model().info.mpp)
        grid = Grid(view.width, view.height, SHARD_PX)
        boxes = [(tile.core, tile.core.grown(RADIUS_PX).clipped(grid.frame)) for tile in grid]
        return [(view.read(window), core.slices_in(window)) for core, window in boxes]


def network_alone(slide: Path, workers: int) -> Took:
    """Run the network on windows that are in memory already."""
    engine, windows, table = make_engine(load_model(), "cpu"), windows_of(slide), rgb_table()
    with ThreadPoolExecutor(workers) as pool:
        return took(lambda: list(pool.map(lambda each: engine.confidence(each[0], table, each[1]), windows)))


def predict_inside(slide: Path, out: Path, workers: int) -> SlideReport:
    return wsiseg.predict(slide, out, config=PredictConfig(workers=workers, device="cpu", overwrite=True))[0]


def predict_process(slide: Path, out: Path, workers: int, model: str = "default") -> None:
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
        "-m",
        model,
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=6144, help="pixels of the slide's side")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--no-naive", action="store_true", help="leave the naive pipeline out")
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
        workers, stages = options.workers, []
        rows: dict[str, Callable[[], Took]] = {
            BARE: lambda: network_alone(slide, workers),
            INSIDE: lambda: took(lambda: stages.append(predict_inside(slide, out, workers).stage_seconds)),
            "wsiseg predict, as a process": lambda: took(lambda: predict_process(slide, out, workers)),
            "the same with -m large": lambda: took(lambda: predict_process(slide, out, workers, "large")),
        }
        if not options.no_naive:
            rows["naive pipeline"] = lambda: took(lambda: naive(slide, out))
        predict_inside(slide, out, workers)
        runs: dict[str, list[Took]] = {row: [] for row in rows}
        for _ in range(options.rounds):
            for row, run in rows.items():
                runs[row].append(run())
    report(runs, stages, options)


def report(runs: dict[str, list[Took]], stages: list[dict[str, float]], options: argparse.Namespace) -> None:
    megapixels = options.side**2 / 1e6
    wall = {row: statistics.median(run.wall_s for run in found) for row, found in runs.items()}
    cpu = {row: statistics.median(run.cpu_s for run in found) for row, found in runs.items()}
    label = machine()
    print(f"{label}, {options.workers} workers, {megapixels:.1f} MP at 0.25 um per pixel (1 mm2 is 16 MP)")
    print("| what | seconds (median) | processor seconds | MP/s | share of the bare network's rate |")
    print("|---|---|---|---|---|")
    for row in runs:
        rate, share = megapixels / wall[row], wall[BARE] / wall[row]
        print(f"| {row} | {wall[row]:.2f} | {cpu[row]:.2f} | {rate:.2f} | {share:.2f} |")
    spent = {step: statistics.median(run.get(step, 0.0) for run in stages) for step in stages[-1]}
    total = sum(spent.values())
    after = sum(value for step, value in spent.items() if step not in BEFORE_OBJECTS)
    print("\n| step of predict | thread seconds | share |\n|---|---|---|")
    for step, value in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"| {step} | {value:.2f} | {value / total:.0%} |")
    print(f"| **objects, polygons and writing** | {after:.2f} | {after / total:.0%} |")
    if options.json:
        found = {
            "machine": label, "workers": options.workers, "megapixels": megapixels,
            "wall_s": wall, "cpu_s": cpu, "thread_s": spent,
            "share_of_bare": wall[BARE] / wall[INSIDE], "share_after_network": after / total,
        }  # fmt: skip
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
