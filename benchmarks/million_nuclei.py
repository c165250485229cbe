"""`wsiseg export` of a store with a million nuclei: seconds, bytes and peak memory.

    python benchmarks/million_nuclei.py [--across 1024] [--work FOLDER] [--json FILE]

The store holds the confidence of a lattice of soft ellipses, one in each cell of 20 x 20 px at 0.5 um per
pixel, with random axes, angles and places: outlines as long as those of real nuclei, and no two alike.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from harness.memory import measured
from numpy.typing import NDArray

from wsiseg.config import ObjectsConfig
from wsiseg.slides.tissue import Tissue
from wsiseg.store.identity import FrameInfo, Identity
from wsiseg.store.layout import create_store
from wsiseg.store.states import Stage, State
from wsiseg.tiles import Box

PITCH_PX = 20
SOFT_PX = 1.0
BOUNDS = {"GeoJSON MB": 500, "seconds": 60, "peak MB": 500}


class Lattice(NamedTuple):
    """One ellipse a cell, each array (across, across): middle, half axes (px) and angle."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    major: NDArray[np.float32]
    minor: NDArray[np.float32]
    angle: NDArray[np.float32]

    @classmethod
    def drawn(cls, across: int, seed: int = 0) -> Lattice:
        """Return ellipses drawn from a seed."""
        rng = np.random.default_rng(seed)
        row, col = np.mgrid[:across, :across]
        middle = [(axis + 0.5) * PITCH_PX + rng.uniform(-0.8, 0.8, (across, across)) for axis in (col, row)]
        axes = [rng.uniform(low, high, (across, across)) for low, high in ((6.2, 8.4), (4.8, 6.2))]
        angle = rng.uniform(0, np.pi, (across, across))
        return cls(*(values.astype(np.float32) for values in (*middle, *axes, angle)))

    def confidence(self, box: Box) -> NDArray[np.uint8]:
        """Return the confidence of a box: 128 on the outlines, falling within a pixel or two."""
        rows, cols = np.arange(box.y0, box.y1), np.arange(box.x0, box.x1)
        last = len(self.x) - 1
        cell = np.ix_(np.minimum(rows // PITCH_PX, last), np.minimum(cols // PITCH_PX, last))
        dx = cols.astype(np.float32) + 0.5 - self.x[cell]
        dy = (rows.astype(np.float32) + 0.5)[:, None] - self.y[cell]
        cos, sin = np.cos(self.angle[cell]), np.sin(self.angle[cell])
        rho = np.hypot((dx * cos + dy * sin) / self.major[cell], (dy * cos - dx * sin) / self.minor[cell])
        return (255 / (1 + np.exp((rho - 1) * self.minor[cell] / SOFT_PX))).astype(np.uint8)


def make_store(path: Path, across: int) -> None:
    """Write a finished store of across x across nuclei."""
    side = across * PITCH_PX
    frame = FrameInfo(side, side, 0.5, 2.0)
    objects = {**asdict(ObjectsConfig()), "threshold": 0.5}
    identity = Identity("none", f"lattice of {across} x {across}", frame, objects, {})
    tissue = Tissue(np.ones((1, 1), np.bool_), float(2 * side))
    store = create_store(path, identity, tissue, 2048, {"name": path.stem, "summary": {}})
    lattice = Lattice.drawn(across)
    for block in store.blocks:
        core = block.core
        confidence = lattice.confidence(core)
        store.array("0")[core.y0 : core.y1, core.x0 : core.x1] = confidence
        half = confidence[::2, ::2]
        y, x = core.y0 // 2, core.x0 // 2
        store.array("haematoxylin")[y : y + half.shape[0], x : x + half.shape[1]] = half
        store.states(Stage.NETWORK).mark(block.row, block.col, State.DONE)
    store.annotate(state="complete")
    store.remove_work()


def measure_export(store: Path, out: Path, workers: int) -> dict[str, float]:
    """Run `wsiseg export` on a store and return what it took."""
    done = measured([sys.executable, "-m", "wsiseg", "export", store, "-o", out, "-w", workers])
    if done.returncode:
        raise SystemExit(f"wsiseg export ended with {done.returncode}")
    with (out / f"{store.stem}.geojson").open("rb") as file:
        nuclei = sum(line.startswith(b'{"type":"Feature"') for line in file)
    return {
        "nuclei": nuclei,
        "seconds": round(done.seconds, 1),
        "peak MB": round(done.peak_mb),
        "GeoJSON MB": round((out / f"{store.stem}.geojson").stat().st_size / 1e6, 1),
        "Parquet MB": round((out / f"{store.stem}.parquet").stat().st_size / 1e6, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--across", type=int, default=1024, help="nuclei along each side of the lattice")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--work", type=Path, help="folder in which the store is kept for the next time")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.work or Path(name)
        store = folder / f"lattice-{options.across}.zarr"
        if not store.exists():
            folder.mkdir(parents=True, exist_ok=True)
            make_store(store, options.across)
        found = measure_export(store, Path(name), options.workers)
    print("| what | value | bound |\n|---|---|---|")
    for what, value in found.items():
        print(f"| {what} | {value:,} | {BOUNDS.get(what, '')} |")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return int(any(found[what] > bound for what, bound in BOUNDS.items()))


if __name__ == "__main__":
    sys.exit(main())
