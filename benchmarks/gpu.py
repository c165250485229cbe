"""Predict and training on a GPU: against what the decoders alone deliver, and ten repeats of the paper.

    python benchmarks/gpu.py [--side 12288] [--device cuda] [--epochs 300] [--json FILE]

Rows: the slide's blocks read by all cores and thrown away; the network alone, from pixels in memory; predict
with all outputs; how many pixels of the mask differ from those of the CPU; and `fit` with the preset `paper`
(ten repeats) on 30 generated images of 1000 x 1000 px. Give `--device cpu` to try the script without a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from harness.machine import Took, machine, took

import wsiseg
from wsiseg.config import PredictConfig
from wsiseg.network.appearance import rgb_table
from wsiseg.network.architecture import RADIUS_PX
from wsiseg.network.engine import make_engine
from wsiseg.network.model import load_model
from wsiseg.report.training_run import redraw
from wsiseg.slides import open_slide
from wsiseg.slides.expand import expand
from wsiseg.slides.view import SlideView
from wsiseg.store.blocks import SHARD_PX
from wsiseg.store.slide_store import SlideStore
from wsiseg.synthetic import SyntheticSlide, write_synthetic
from wsiseg.tiles import Grid
from wsiseg.training.fit import fit_slides
from wsiseg.training.fit_config import FitConfig
from wsiseg.training.observer import FitObserver
from wsiseg.training.presets import preset

IMAGES, IMAGE_PX = 30, 1000
MAY_DIFFER = 1e-4


def measure_predict(slide: Path, folder: Path, device: str, workers: int) -> tuple[dict[str, Took], float]:
    """Return what reading, the network and predict took, and the share of the mask that is not the CPU's."""
    model = load_model()
    with open_slide(slide) as opened:
        view = SlideView(opened, model.info.mpp)
        grid = Grid(view.width, view.height, SHARD_PX)
        windows = [tile.core.grown(RADIUS_PX).clipped(grid.frame) for tile in grid]
        # Compiles what is not compiled yet.
        view.read(windows[0])
        with ThreadPoolExecutor(workers) as pool:
            found = {"decoding alone": took(lambda: [None for _ in pool.map(view.read, windows)])}
        pixels = [view.read(window) for window in windows[:64]]
    engine, table = make_engine(model, device), rgb_table()
    with ThreadPoolExecutor(workers) as pool:
        compute = lambda: list(pool.map(lambda window: engine.confidence(window, table), pixels))  # noqa: E731
        compute()
        found[f"network alone, {len(pixels)} of {len(windows)} blocks"] = took(compute)

    def predict(on: str) -> Path:
        out = folder / on.replace(":", "-")
        wsiseg.predict(slide, out, config=PredictConfig(device=on, workers=workers, overwrite=True))
        return out / f"{slide.stem}.zarr"

    predict(device)
    found["predict, all outputs"] = took(lambda: predict(device))
    masks = []
    for store in (SlideStore(predict(on)) for on in (device, "cpu")):
        threshold = store.threshold
        masks.append(store.confidence[0].read(store.blocks.frame) >= 255 * threshold)
    return found, float((masks[0] != masks[1]).mean())


def measure_fit(folder: Path, device: str, epochs: int) -> dict[str, Took]:
    """Return what ten repeats of the preset `paper` took, and the drawing of their figures and report."""
    images, out = folder / "images", folder / "run"
    images.mkdir()
    for seed in range(IMAGES):
        slide = SyntheticSlide(IMAGE_PX, IMAGE_PX, seed=seed, tissue_share=1, pen=False)
        write_synthetic(images / f"{seed:02}.tif", slide)
    config, slides = FitConfig(preset("paper", epochs=epochs), device=device), expand([str(images)], 0.25)
    trained = took(lambda: fit_slides(slides, out, None, config, FitObserver()))
    return {
        f"fit, ten repeats of {epochs} epochs": trained,
        "their figures and report": took(lambda: redraw(out)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=12288, help="pixels of the slide's side")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    name = torch.cuda.get_device_name(options.device) if options.device != "cpu" else "the CPU alone"
    label = f"{machine()}; {name}"
    print(label)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        size = SyntheticSlide(options.side, options.side, tissue_share=1, pen=False)
        slide = write_synthetic(folder / "slide.svs", size)
        found, differs = measure_predict(slide, folder, options.device, options.workers)
        if options.epochs:
            found |= measure_fit(folder, options.device, options.epochs)
    print("| what | seconds | processor seconds |\n|---|---|---|")
    for what, spent in found.items():
        print(f"| {what} | {spent.wall_s:.2f} | {spent.cpu_s:.2f} |")
    share = found["decoding alone"].wall_s / found["predict, all outputs"].wall_s
    print(
        f"predict runs at {share:.0%} of the decoders' rate; {differs:.1e} of the mask differs from the CPU's"
    )
    if options.json:
        seconds = {what: spent.wall_s for what, spent in found.items()}
        options.json.write_text(
            json.dumps({"machine": label, "wall_s": seconds, "share": share, "differs": differs}, indent=1)
            + "\n"
        )
    return int(differs > MAY_DIFFER)


if __name__ == "__main__":
    sys.exit(main())
