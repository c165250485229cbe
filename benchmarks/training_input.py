"""Whether training waits for its input, and what validation takes, on JPEG and JPEG 2000 slides.

    python benchmarks/training_input.py [--side 4096] [--epochs 3] [--device auto] [--json FILE]

`fit` with the default preset and one repeat on a generated slide; the same pixels once as JPEG and once as
JPEG 2000 tiles. The first epoch fills the read-ahead and compiles, so it does not count.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import tifffile
from harness.machine import machine

import wsiseg
from wsiseg.slides import open_slide
from wsiseg.synthetic import SyntheticSlide, write_synthetic
from wsiseg.training import stream
from wsiseg.training.fit_config import FitConfig
from wsiseg.training.learner import Alone
from wsiseg.training.observer import FitObserver
from wsiseg.training.presets import preset
from wsiseg.training.validation import Validation

TILE_PX = 256


class Clock(FitObserver):
    """Seconds of waiting, training and validating, after the first epoch."""

    def __init__(self) -> None:
        self.seconds = {"waiting": 0.0, "training": 0.0, "validating": 0.0}
        self._counts = False

    def epoch_done(self, *_rest: Any) -> None:
        """Count from here on."""
        self._counts = True

    def timed(self, what: str, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that adds its seconds up."""

        def wrapped(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return run(*arguments, **named)
            finally:
                self.seconds[what] += (time.perf_counter() - started) * self._counts

        return wrapped


def as_jpeg2000(slide: Path, path: Path) -> Path:
    """Write the finest level of a slide again, in JPEG 2000 tiles."""
    with open_slide(slide) as opened:
        width, height = opened.dimensions
        tiles = (
            imagecodecs.jpeg2k_encode(
                opened.read_region(x, y, 0, TILE_PX, TILE_PX), level=35, codecformat="j2k"
            )
            for y in range(0, height, TILE_PX)
            for x in range(0, width, TILE_PX)
        )
        with tifffile.TiffWriter(path, bigtiff=True) as writer:
            writer.write(
                tiles, shape=(height, width, 3), dtype="uint8", tile=(TILE_PX, TILE_PX), photometric="rgb",
                compression="aperio_jp2000_rgb", metadata=None,
                description="Aperio Image Library v1\n|AppMag = 40|MPP = 0.2500",
            )  # fmt: skip
    return path


def measure(slide: Path, out: Path, epochs: int, device: str) -> dict[str, float]:
    """Train on a slide and return where the time went."""
    clock = Clock()
    kept = stream._Asked.collect, Alone.step, Validation.score
    stream._Asked.collect = clock.timed("waiting", kept[0])  # type: ignore[method-assign]
    Alone.step = clock.timed("training", kept[1])  # type: ignore[method-assign]
    Validation.score = clock.timed("validating", kept[2])  # type: ignore[method-assign]
    try:
        config = preset("default", epochs=epochs, repeats=1, consensus_epochs=0)
        wsiseg.fit(slide, out, config=FitConfig(config, device=device), observer=clock)
    finally:
        stream._Asked.collect, Alone.step, Validation.score = kept  # type: ignore[method-assign]
    return clock.seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=4096, help="pixels of the slide's side")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        jpeg = write_synthetic(folder / "jpeg.svs", SyntheticSlide(options.side, options.side))
        slides = {"JPEG": jpeg, "JPEG 2000": as_jpeg2000(jpeg, folder / "jpeg2000.svs")}
        found = {
            kind: measure(slide, folder / slide.stem, options.epochs, options.device)
            for kind, slide in slides.items()
        }
    print("| slide | training (s) | waiting for input (s) | validating (s) |\n|---|---|---|---|")
    for kind, row in found.items():
        cells = (f"{row[what]:.2f}" for what in ("training", "waiting", "validating"))
        print(f"| {kind} | {' | '.join(cells)} |")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    longest = (max(row["waiting"] * 20, row["validating"]) / row["training"] for row in found.values())
    return int(max(longest) > 1)


if __name__ == "__main__":
    sys.exit(main())
