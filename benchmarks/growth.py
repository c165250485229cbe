"""How the time of `predict` grows with the tissue: 1, 4, 16 and 64 times the area, all outputs.

    python benchmarks/growth.py [--smallest 2048] [--plot FILE.png] [--json FILE]

Generated slides, dense with tissue, JPEG tiles, each predicted once in one process that has predicted before.
The line is fitted to the three smaller ones, so that the largest can lie beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from harness.machine import machine, took

import wsiseg
from wsiseg.config import PredictConfig
from wsiseg.synthetic import SyntheticSlide, write_synthetic

TIMES = (1, 4, 16, 64)
MPP = 0.25


def measure(side_px: int, folder: Path, workers: int) -> dict[str, float]:
    """Predict a slide of a side and return its area, nuclei and seconds."""
    path = folder / f"slide-{side_px}.svs"
    write_synthetic(path, SyntheticSlide(side_px, side_px, tissue_share=1, pen=False))
    config = PredictConfig(workers=workers, device="cpu", overwrite=True)
    reports: list[Any] = []
    spent = took(lambda: reports.extend(wsiseg.predict(path, folder / "out", config=config)))
    path.unlink()
    return {
        "side_px": side_px,
        "mm2": (side_px * MPP / 1000) ** 2,
        "nuclei": reports[0].nuclei,
        "seconds": spent.wall_s,
        "cpu_s": spent.cpu_s,
    }


def plot(rows: list[dict[str, float]], line: tuple[float, float], label: str, path: Path) -> None:
    """Draw seconds over area with the straight line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    area = np.array([row["mm2"] for row in rows])
    figure, axes = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
    ends = np.array([0.0, area[-1]])
    axes.plot(ends, line[0] * ends + line[1], color="0.6", label=f"{line[0]:.2f} s a mm² + {line[1]:.1f} s")
    axes.plot(area, [row["seconds"] for row in rows], "o", color="#1f6f8b", label="wsiseg predict")
    axes.set(xlim=0, ylim=0, xlabel="tissue (mm²)", ylabel="seconds", title=label)
    axes.title.set_fontsize(8)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smallest", type=int, default=2048, help="side of the smallest slide, in pixels")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    label = machine()
    print(label)
    with tempfile.TemporaryDirectory() as name:
        measure(1024, Path(name), options.workers)
        sides = [options.smallest * math.isqrt(times) for times in TIMES]
        rows = [measure(side, Path(name), options.workers) for side in sides]
    area, seconds = (np.array([row[key] for row in rows]) for key in ("mm2", "seconds"))
    slope, start = (float(value) for value in np.polyfit(area[:3], seconds[:3], 1, w=1 / seconds[:3]))
    off = float(seconds[-1] / (slope * area[-1] + start) - 1)
    print("| tissue (mm²) | nuclei | seconds | processor seconds | seconds a mm² |\n|---|---|---|---|---|")
    for row in rows:
        cells = (f"{row['mm2']:.2f}", f"{row['nuclei']:,}", f"{row['seconds']:.1f}", f"{row['cpu_s']:.1f}")
        print(f"| {' | '.join(cells)} | {row['seconds'] / row['mm2']:.2f} |")
    print(f"{slope:.2f} s a mm² + {start:.1f} s; the largest is {off:+.0%} off that line")
    if options.json:
        found = {"machine": label, "rows": rows, "slope": slope, "start": start, "largest_off": off}
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.plot:
        plot(rows, (slope, start), label, options.plot)
    return int(off > 0.1)


if __name__ == "__main__":
    sys.exit(main())
