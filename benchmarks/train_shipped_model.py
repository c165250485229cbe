"""Train the model that ships with wsiseg, from generated slides and images that are free to use.

    python benchmarks/train_shipped_model.py DATA RUN

DATA holds `slides/` and `free/` (CC0 and open-access images, see FREE below for each and its resolution);
nothing else is read, and no label. RUN and RUN-prior are run folders of `wsiseg fit`: an interrupted training
goes on where it was. At the end the chosen model is copied into the package.
"""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path

import wsiseg
from wsiseg.synthetic import SyntheticSlide, write_synthetic
from wsiseg.training.fit_config import FitConfig
from wsiseg.training.presets import preset

# File below DATA: micrometres per pixel.
FREE = {
    "slides/CMU-1-Small-Region.svs": 0.499,
    "free/tcga-dense.png": 0.25,
    "free/tcga-fibrous.png": 0.25,
    "free/tcga-fat.png": 0.25,
    "free/tumour-40x.png": 0.2,
    "free/lymphoid.tif": 0.5,
}
GENERATED = 3
SIDE_PX = 2000
# A model that must serve every laboratory sees more variation of the stain than one fitted to its own slides.
JITTER, SHIFT = 0.4, 0.5
# Six images are few, one of them is 256 px wide: more and smaller crops show more of them (docs/accuracy.md).
CROP_PX = 160
# The model that ships was made before gaps were given a weight.
GAP_WEIGHT = 0.0
# First a network that sees generated tissue only, whose nuclei are known: the prior of the second.
PRIOR = {"generated": 1.0, "repeats": 1, "epochs": 160, "consensus_epochs": 0, "seed": 1}
PACKAGED = Path(wsiseg.__file__).parent / "network" / "models" / "default.safetensors"


def main(data: Path, run: Path) -> None:
    slides = run.with_name(f"{run.name}-slides")
    slides.mkdir(parents=True, exist_ok=True)
    generated = []
    for seed in range(1, GENERATED + 1):
        path = slides / f"generated-{seed}.svs"
        if not path.exists():
            write_synthetic(path, SyntheticSlide(SIDE_PX, SIDE_PX, seed=seed, tissue_share=1.0, pen=False))
        generated.append((str(path.resolve()), 0.25))
    free = [(str((data / name).resolve()), mpp) for name, mpp in FREE.items()]
    first = listed(slides / "generated.csv", generated)
    both = listed(slides / "slides.csv", free + generated)

    prior = run.with_name(f"{run.name}-prior")
    training = preset("small", jitter=JITTER, shift=SHIFT, **PRIOR)
    wsiseg.fit([first], prior, config=FitConfig(training, threads=1))
    training = preset(
        "small", jitter=JITTER, shift=SHIFT, consensus_crop_px=CROP_PX, consensus_gap_weight=GAP_WEIGHT
    )
    result = wsiseg.fit([both], run, config=FitConfig(training, prior=str(prior), threads=1))
    PACKAGED.parent.mkdir(exist_ok=True)
    shutil.copyfile(run / "model.safetensors", PACKAGED)
    print(f"{PACKAGED}: repeat {result.choice.repeat}, score {result.choice.score:.3f}")


def listed(path: Path, rows: list[tuple[str, float]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("slide", "mpp"), *rows])
    return path


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
