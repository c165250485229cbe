"""Draws the figures of docs/explanation/method.md from a training on generated slides.

    python benchmarks/method_figures.py [--preset small] [--epochs 20] [--slides 20] [--work FOLDER]

One repeat learns from generated images without a label; its figures 1 and 4, after those of Boserup & Selvan
(2023), are written to docs/images. A training in FOLDER that was stopped goes on. Two minutes on a core;
`--preset paper --epochs 60` takes twelve.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from PIL import Image

import wsiseg
from wsiseg.synthetic import SyntheticSlide, write_synthetic_image
from wsiseg.training.fit_config import FitConfig
from wsiseg.training.presets import preset

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SIDE_PX = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--slides", type=int, default=20)
    parser.add_argument("--work", type=Path, help="kept; a temporary folder if left out")
    given = parser.parse_args()
    work = given.work or Path(tempfile.mkdtemp())
    try:
        draw(work, given.preset, given.slides, given.epochs)
    finally:
        if given.work is None:
            shutil.rmtree(work, ignore_errors=True)


def draw(work: Path, name: str, slides: int, epochs: int) -> None:
    """Train in `work` and write the figures."""
    folder = work / "slides"
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(slides):
        path = folder / f"generated-{seed:02}.png"
        if not path.exists():
            slide = SyntheticSlide(SIDE_PX, SIDE_PX, seed=seed, tissue_share=1.0, pen=False)
            write_synthetic_image(path, slide)
    training = preset(name, repeats=1, epochs=epochs, consensus_epochs=0, validation_crops=6)
    config = FitConfig(training, threads=1)
    fitted = wsiseg.fit([folder], work / f"run-{name}", slide_mpp=0.25, config=config)
    for number in (1, 4):
        with Image.open(work / f"run-{name}" / "repeat-01" / f"figure{number}.png") as figure:
            figure.convert("RGB").save(IMAGES / f"method-figure{number}.jpg", quality=82, optimize=True)
    print(f"channel {fitted.choice.channel}, score {fitted.choice.score:.3f}")


if __name__ == "__main__":
    main()
