"""Tables of what the cells hold, as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

MEASURES = ("dice", "aji", "pq", "sq", "dq", "count_error")
PAPER = {
    "threshold": "0.5823",
    "supervised": "0.7666",
    "scale-pretext": "0.6209",
    "paper": "0.62 ± 0.05, max 0.6797, 80th 0.6469",
}
Cells = Sequence[Sequence[dict[str, Any]]]


def summary(cells: Cells) -> dict[str, Any]:
    """Return means over all test images of a row.

    Parameters
    ----------
    cells : sequence (splits) of sequence (repeats) of cells
        Repeat r of all splits together scores every image once.

    Returns
    -------
    dict
        `repeats`: for each repeat the mean of each measure over the images that have it; `images`: how many
        images have each measure; `train_s`: mean time of one training.
    """
    repeats, counts = [], {}
    for number in range(len(cells[0])):
        images = [scores for split in cells for scores in split[number]["scores"].values()]
        means = {}
        for measure in MEASURES:
            values = [scores[measure] for scores in images if measure in scores]
            counts[measure] = len(values)
            if values:
                means[measure] = statistics.fmean(values)
        repeats.append(means)
    seconds = [cell["train_s"] for split in cells for cell in split if "train_s" in cell]
    return {"repeats": repeats, "images": counts, "train_s": statistics.fmean(seconds) if seconds else 0.0}


def table2(rows: dict[str, dict[str, Any]], how: str) -> str:
    """Return table 2: a line a row, with the spread where there are repeats."""
    lines = [
        f"Table 2: {how}.",
        "",
        "| row | Dice | max | 80th percentile | AJI | PQ | count error | training | paper (MoNuSeg) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, found in rows.items():
        dices = [repeat["dice"] for repeat in found["repeats"]]
        spread = f" ± {statistics.stdev(dices):.4f} ({len(dices)} repeats)" if len(dices) > 1 else ""
        several = len(dices) > 1
        cells = [
            name,
            f"{statistics.fmean(dices):.4f}{spread}",
            f"{max(dices):.4f}" if several else "",
            f"{np.percentile(dices, 80):.4f}" if several else "",
            *(_mean(found, measure) for measure in ("aji", "pq", "count_error")),
            _time(found["train_s"]),
            PAPER.get(name, ""),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    first = next(iter(rows.values()))["images"] if rows else {}
    told = max((found["images"].get("aji", 0) for found in rows.values()), default=0)
    if rows and told < first["dice"]:
        lines += [
            "",
            f"AJI, PQ and count error are of the {told} images whose nuclei are outlined one by one.",
        ]
    return "\n".join(lines) + "\n"


def table1(values: dict[str, list[float]], title: str, paper: Sequence[float], how: str) -> str:
    """Return one ablation of table 1: median Dice of the runs for each setting."""
    lines = [f"Table 1, {title}: {how}.", "", "| | median Dice | runs | paper |", "|---|---|---|---|"]
    for (setting, dices), theirs in zip(values.items(), paper, strict=True):
        runs = ", ".join(f"{value:.4f}" for value in dices)
        lines.append(f"| {setting} | {statistics.median(dices):.4f} | {runs} | {theirs:.4f} |")
    return "\n".join(lines) + "\n"


def _mean(found: dict[str, Any], measure: str) -> str:
    values = [repeat[measure] for repeat in found["repeats"] if measure in repeat]
    return f"{statistics.fmean(values):.4f}" if values else ""


def _time(seconds: float) -> str:
    return "" if seconds == 0 else f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
