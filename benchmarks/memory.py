"""Peak resident memory of `predict`, `fit` and `export`: bounded by tiles in flight, not by the slide.

    python benchmarks/memory.py --work FOLDER [--sides 15000 60000] [--only predict,fit,export] [--json FILE]

Two slides at 0.25 um per pixel are generated and kept in the work folder (a third tissue; the larger one has
370,000 nuclei, takes some minutes to make and half a gigabyte of disk), and each command runs on them as a
process of its own. The bounds: predict and fit 1.5 GB on the larger slide and a tenth more than on the
smaller one at most, export of a million nuclei 0.5 GB.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from harness.memory import Measured, measured
from million_nuclei import make_store, measure_export

from wsiseg.synthetic import SyntheticSlide, write_synthetic

PREDICT_MB = 1500
EXPORT_MB = 500
GROWTH = 1.1
WSISEG = (sys.executable, "-m", "wsiseg")
FIT = ("--epochs", 2, "--max-minutes", 4, "-d", "cpu", "-w", 2)


def slide_of(side_px: int, work: Path) -> Path:
    """Return a generated slide, made if it is not there."""
    path = work / f"slide-{side_px}.svs"
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        write_synthetic(path, SyntheticSlide(side_px, side_px, tissue_share=0.33, density=0.6, pen=False))
    return path


def predict(slide: Path, out: Path, workers: int) -> Measured:
    return checked(measured([*WSISEG, "predict", slide, "-o", out, "-w", workers, "-d", "cpu", "-q"]))


def fit(slide: Path, out: Path) -> Measured:
    return checked(measured([*WSISEG, "fit", slide, "-o", out, "-q", *FIT]))


def checked(done: Measured) -> Measured:
    if done.returncode:
        raise SystemExit(f"the command ended with {done.returncode}")
    return done


def rows(options: argparse.Namespace, out: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []

    def add(what: str, done: Measured, bound_mb: float) -> None:
        row = {"what": what, "seconds": round(done.seconds, 1), "peak MB": round(done.peak_mb)}
        found.append({**row, "bound MB": round(bound_mb), "holds": done.peak_mb <= bound_mb})
        print(f"| {what} | {done.seconds:.0f} | {done.peak_mb:.0f} | {bound_mb:.0f} |", flush=True)

    print("| what | seconds | peak MB | bound MB |\n|---|---|---|---|", flush=True)
    for name, run in (("predict", lambda *how: predict(*how, options.workers)), ("fit", fit)):
        least: float = PREDICT_MB
        for side in sorted(options.sides) if name in options.only else ():
            done = run(slide_of(side, options.work), out / f"{name}-{side}")
            add(f"{name}, {side:,} x {side:,} px", done, min(PREDICT_MB, least))
            least = min(least, GROWTH * done.peak_mb)
            shutil.rmtree(out / f"{name}-{side}")
    if "export" in options.only:
        store = options.work / f"lattice-{options.across}.zarr"
        if not store.exists():
            make_store(store, options.across)
        facts = measure_export(store, out / "export", options.workers)
        done = Measured(0, facts["seconds"], round(facts["peak MB"] * 1e6))
        add(f"export, {facts['nuclei']:,} nuclei", done, EXPORT_MB)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder in which slides are kept")
    parser.add_argument("--sides", type=int, nargs="+", default=[15_000, 60_000], help="pixels")
    parser.add_argument("--across", type=int, default=1024, help="nuclei along each side of the export")
    parser.add_argument("--only", default="predict,fit,export")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        found = rows(options, Path(name))
    if options.json:
        machine = platform.processor() or platform.machine()
        options.json.write_text(json.dumps({"machine": machine, "rows": found}, indent=1) + "\n")
    return int(not all(row["holds"] for row in found))


if __name__ == "__main__":
    sys.exit(main())
