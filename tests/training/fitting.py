"""`fit` on a folder of pictures of 0.25 um, without its pictures and report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wsiseg.slides.expand import expand
from wsiseg.training.config import TrainingConfig
from wsiseg.training.fit import fit_slides
from wsiseg.training.fit_config import FitConfig
from wsiseg.training.fit_result import FitResult
from wsiseg.training.observer import FitObserver


def fit(
    images: Path,
    output: Path,
    training: TrainingConfig,
    labels: Path | None = None,
    slide_mpp: float | None = 0.25,
    observer: FitObserver | None = None,
    label_images: Path | None = None,
    **settings: Any,
) -> FitResult:
    """Train on one thread unless told otherwise."""
    config = FitConfig(training, **{"threads": 1, "workers": 2, **settings})
    slides = expand([str(images)], slide_mpp)
    others = None if label_images is None else expand([str(label_images)], slide_mpp)
    return fit_slides(slides, output, labels, config, observer or FitObserver(), others)
