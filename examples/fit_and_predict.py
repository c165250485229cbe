"""Learn a network from two slides without labels, then predict a third with it (a short training)."""

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
        seen = [write_synthetic(folder / f"seen-{n}.svs", SyntheticSlide(1200, 900, seed=n)) for n in (1, 2)]
        new = write_synthetic(folder / "new.svs", SyntheticSlide(1200, 900, seed=3))
        fitted = wsiseg.fit(seen, folder / "run", config=FitConfig(training))
        print(f"the model: {fitted.choice}")
        print(fitted.comparison)
        (report,) = wsiseg.predict(new, folder / "out", folder / "run")
        print(f"{report.nuclei} nuclei in {report.tissue_mm2:.2f} mm2")


if __name__ == "__main__":
    main()
