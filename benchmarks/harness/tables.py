"""Tables of what the cells hold, as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

MEASURES = ("dice_authors", "dice_alone", "dice", "aji", "pq", "sq", "dq", "count_error")
# Table 2 of the paper, on the test images of each data set.
PAPER = {
    "MoNuSeg": {
        "threshold": "0.5823",
        "supervised": "0.7666",
        "scale-pretext": "0.6209",
        "paper": "0.62 ± 0.05, max 0.6797, 80th 0.6469",
    },
    "CoNSeP": {
        "threshold": "0.5700",
        "supervised": "0.7375",
        "scale-pretext": "0.5139",
        "paper-ce": "0.52 ± 0.06, max 0.6266, 80th 0.5448",
    },
}
Cells = Sequence[Sequence[dict[str, Any]]]


def summary(cells: Cells) -> dict[str, Any]:
    """Return what the cells of a row come to.

    Maximum, 80th percentile and standard deviation are taken over the repeats of one split, as the paper
    takes them over ten trainings, and then averaged over splits: an average over splits first would shrink
    them.

    Parameters
    ----------
    cells : sequence (splits) of sequence (repeats) of cells

    Returns
    -------
    dict
        For each measure `mean` (over all images and repeats), `max`, `p80` and `sd`; `images`: how many have
        it; `repeats`, `splits`; `train_s`: mean time of one training.
    """
    found: dict[str, Any] = {"repeats": len(cells[0]), "splits": len(cells), "images": {}}
    for measure in MEASURES:
        # (splits) of (repeats): the mean over the split's images that have it.
        means, weights = [], []
        for split in cells:
            values = [
                [scores[measure] for scores in cell["scores"].values() if measure in scores] for cell in split
            ]
            if values[0]:
                means.append([statistics.fmean(of_repeat) for of_repeat in values])
                weights.append(len(values[0]))
        found["images"][measure] = sum(weights)
        if means:
            found[measure] = {
                "mean": float(np.average(np.mean(means, axis=1), weights=weights)),
                "max": float(np.average(np.max(means, axis=1), weights=weights)),
                "p80": float(np.average(np.percentile(means, 80, axis=1), weights=weights)),
                "sd": float(np.average(np.std(means, axis=1, ddof=1), weights=weights))
                if len(means[0]) > 1
                else 0.0,
            }
    seconds = [cell["train_s"] for split in cells for cell in split if "train_s" in cell]
    return {**found, "train_s": statistics.fmean(seconds) if seconds else 0.0}


def table2(rows: dict[str, dict[str, Any]], how: str, data_set: str) -> str:
    """Return table 2: a line a row, with the spread where there are repeats."""
    lines = [
        f"Table 2, {data_set}: {how}.",
        "",
        "| row | Dice | max | 80th percentile | Dice by `predict` | Dice, each image's batch norms "
        f"| AJI | PQ | count error | training | paper ({data_set}, test images) |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, found in rows.items():
        own = found.get("dice_authors", found["dice"])
        several = found["repeats"] > 1
        spread = f" ± {own['sd']:.4f} ({found['repeats']} repeats)" if several else ""
        cells = [
            name,
            f"{own['mean']:.4f}{spread}",
            f"{own['max']:.4f}" if several else "",
            f"{own['p80']:.4f}" if several else "",
            *(f"{found[m]['mean']:.4f}" if "dice_authors" in found else "" for m in ("dice", "dice_alone")),
            *(f"{found[m]['mean']:.4f}" if m in found else "" for m in ("aji", "pq", "count_error")),
            _time(found["train_s"]),
            PAPER.get(data_set, {}).get(name, ""),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "Spread, max and 80th percentile are over the repeats of a split, averaged over splits."]
    if any("dice_authors" in found for found in rows.values()):
        lines.append(
            "Dice of the paper's method is with batch norms of the scored images, ten a batch, as its "
            "authors evaluate; beside it, with the statistics in the model file, as `predict` computes, and "
            "with those of each image alone."
        )
    first = next(iter(rows.values()))["images"] if rows else {}
    told = max((found["images"].get("aji", 0) for found in rows.values()), default=0)
    if rows and told < first["dice"]:
        lines.append(f"AJI, PQ and count error are of the {told} images with nuclei outlined one by one.")
    return "\n".join(lines) + "\n"


def table1(values: dict[str, list[float]], title: str, paper: Sequence[float], how: str) -> str:
    """Return one ablation of table 1: the median of the runs' best validation Dice for each setting."""
    lines = [
        f"Table 1, {title}: {how}.",
        "",
        "| | median of the best validation Dice | runs | paper |",
        "|---|---|---|---|",
    ]
    for (setting, dices), theirs in zip(values.items(), paper, strict=True):
        runs = ", ".join(f"{value:.4f}" for value in dices)
        lines.append(f"| {setting} | {statistics.median(dices):.4f} | {runs} | {theirs:.4f} |")
    return "\n".join(lines) + "\n"


def _time(seconds: float) -> str:
    return "" if seconds == 0 else f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
