"""Figures 1, 3 and 4 of the paper."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.fields import Field

HIT, MISSED, INVENTED = (40, 90, 255), (0, 190, 60), (235, 30, 40)


def compared(field: Field, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Return hits blue, missed pixels green, invented ones red, on white: uint8 (H, W, 3)."""
    picture = np.full((*mask.shape, 3), 255, np.uint8)
    picture[field.truth & mask] = HIT
    picture[field.truth & ~mask] = MISSED
    picture[~field.truth & mask] = INVENTED
    return picture


def figure3(
    path: Path, fields: Sequence[Field], find: Callable[[Field], npt.NDArray[np.bool_]], title: str
) -> None:
    """Draw some images with what was found of them, as in the paper's figure 3."""
    from matplotlib.figure import Figure

    from wsiseg.evaluation.metrics import dice

    figure = Figure(figsize=(3.4 * len(fields), 7.2), layout="constrained")
    axes = figure.subplots(2, len(fields), squeeze=False)
    for column, field in enumerate(fields):
        mask = find(field)
        axes[0][column].imshow(field.rgb)
        axes[0][column].set_title(field.name, fontsize=8)
        axes[1][column].imshow(compared(field, mask))
        axes[1][column].set_title(f"Dice {dice(field.truth, mask):.3f}", fontsize=8)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    figure.suptitle(f"{title}: true positives blue, false negatives green, false positives red", fontsize=10)
    beside = path.with_suffix(".part")
    figure.savefig(beside, format="png", dpi=110)
    beside.replace(path)


def copy_training_figures(run: Path, output: Path) -> None:
    """Copy figures 1 and 4, which `fit` draws for each repeat."""
    for name in ("figure1.png", "figure4.png"):
        if (run / name).exists():
            shutil.copy(run / name, output / name)
