"""Compare two models on one slide: how many nuclei each finds, and on how many they agree."""

from __future__ import annotations

import tempfile
from pathlib import Path

import wsiseg
from wsiseg.synthetic import SyntheticSlide, write_synthetic
from wsiseg.training.fit_config import FitConfig
from wsiseg.training.presets import preset


def main() -> None:
    training = preset("default", repeats=1, epochs=3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slide = write_synthetic(folder / "slide.svs", SyntheticSlide(900, 700, seed=5, tissue_share=0.8))
        # A real training takes the preset as it is; one short repeat is enough to compare something here.
        wsiseg.fit([slide], folder / "run", config=FitConfig(training))
        models = {"shipped": None, "own": folder / "run"}
        for title, model in models.items():
            (report,) = wsiseg.predict(slide, folder / title, model)
            print(f"{title:<8} {report.nuclei} nuclei")
        found = wsiseg.evaluate(folder / "own" / "slide.zarr", folder / "shipped" / "slide.geojson")
        scores = found.images[0].scores
        print(f"agreement: Dice {scores.dice:.2f}, F1 of nuclei {scores.f1:.2f}")


if __name__ == "__main__":
    main()
