"""What `--measurements all` costs: time, memory and bytes, against basic, in one run.

    python benchmarks/measurements.py [--side 6144] [--rounds 3]

One generated slide, dense with tissue, is predicted by turns with basic and with all measurements, each time
in a process of its own; the first round, in which kernels are compiled, does not count.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from wsiseg.synthetic import SyntheticSlide, write_synthetic

KINDS = ("basic", "all")


def predict(slide: Path, out: Path, kind: str, workers: int) -> tuple[float, float]:
    """Return seconds and processor seconds."""
    command = [sys.executable, "-m", "wsiseg", "predict", slide, "-o", out, "-q", "--overwrite"]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    options = ["--measurements", kind, "-w", workers, "--device", "cpu"]
    subprocess.run([str(word) for word in (*command, *options)], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, used


def megabytes(path: Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=6144, help="pixels of the slide's side")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slide = write_synthetic(
            folder / "slide.svs", SyntheticSlide(asked.side, asked.side, seed=1, tissue_share=1.0, pen=False)
        )
        took: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
        for turn in range(asked.rounds + 1):
            for kind in KINDS:
                used = predict(slide, folder / kind, kind, asked.workers)
                if turn:
                    took[kind].append(used)
        print("| measurements | nuclei | seconds | processor seconds | store, MB | Parquet, MB |")
        print("|---|---|---|---|---|---|")
        for kind in KINDS:
            seconds, used = (statistics.median(values) for values in zip(*took[kind], strict=True))
            sizes = (megabytes(folder / kind / f"slide.{ending}") for ending in ("zarr", "parquet"))
            nuclei = pq.read_metadata(folder / kind / "slide.parquet").num_rows
            cells = [f"{nuclei:,}", f"{seconds:.1f}", f"{used:.1f}", *(f"{size:.1f}" for size in sizes)]
            print(f"| {kind} | {' | '.join(cells)} |")
        cpu = [statistics.median(used for _, used in took[kind]) for kind in KINDS]
        print(f"\nall: {100 * (cpu[1] / cpu[0] - 1):+.0f} % processor time")


if __name__ == "__main__":
    main()
