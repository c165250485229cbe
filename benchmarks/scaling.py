"""One and two workers, threads of one process and processes of a Dask cluster, over one generated slide.

    python benchmarks/scaling.py [--side 8192] [--rounds 1] [--json FILE]

Each row is `wsiseg predict` with all outputs on the same slide; a cluster is a scheduler and workers of one
thread each on this machine, started before and warm. Seconds are of the client, from its start to its end.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.machine import machine

from wsiseg.synthetic import SyntheticSlide, write_synthetic


def predict(slide: Path, out: Path, *how: object) -> float:
    """Return the seconds of `wsiseg predict`."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "wsiseg", "predict", slide, "-o", out, "-q", "--overwrite", "-d", "cpu"]
    subprocess.run([str(part) for part in (*command, *how)], check=True)
    return time.perf_counter() - started


@contextmanager
def cluster(workers: int, folder: Path) -> Iterator[str]:
    """Give the address of a scheduler with workers of one thread."""
    place = folder / f"scheduler-{workers}.json"
    with ExitStack() as stack:

        def start(module: str, *options: object) -> None:
            command = [sys.executable, "-m", module, "--scheduler-file", place, "--no-dashboard", *options]
            process = subprocess.Popen([str(part) for part in command], stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)

        start("distributed.cli.dask_scheduler", "--port", 0, "--host", "127.0.0.1")
        while not place.exists():
            time.sleep(0.1)
        for _ in range(workers):
            start(
                *("distributed.cli.dask_worker", "--no-nanny", "--nthreads", 1),
                *("--memory-limit", 0, "--local-directory", folder),
            )
        yield json.loads(place.read_text())["address"]


def tasks_of(out: Path) -> int:
    """Return how many tasks a slide was: blocks and tiles with tissue, shards of labels and levels."""
    files = list(out.glob("*.zarr/status/*/c/*/*"))
    shards = [f for name in ("*.zarr/[1-9]/c/*/*", "*.zarr/labels/nuclei/*/c/*/*") for f in out.glob(name)]
    return len(files) + len(shards)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=8192, help="pixels of the slide's side")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    on = machine()
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene = SyntheticSlide(options.side, options.side, tissue_share=0.6, pen=False)
        slide = write_synthetic(folder / "slide.svs", scene)
        predict(slide, folder / "warm", "-w", 1)
        for _ in range(options.rounds):
            for workers in (1, 2):
                row = seconds.setdefault(f"threads of one process, {workers}", [])
                row.append(predict(slide, folder / "threads", "-w", workers))
                with cluster(workers, folder) as address:
                    predict(slide, folder / "dask", "--scheduler", address)
                    row = seconds.setdefault(f"Dask workers of one thread, {workers}", [])
                    row.append(predict(slide, folder / "dask", "--scheduler", address))
        (report,) = json.loads((folder / "dask" / "run.json").read_text())["slides"]
        size = sum(file.stat().st_size for file in (folder / "dask").rglob("*") if file.is_file())
        facts = {
            "tissue MP": report["megapixels"],
            "nuclei": report["nuclei"],
            "tasks": tasks_of(folder / "dask"),
            "output MB": round(size / 1e6, 1),
            "output files": sum(file.is_file() for file in (folder / "dask").rglob("*")),
            "slide MB": round(slide.stat().st_size / 1e6, 1),
        }
    print(f"{on}; {facts}")
    print("| workers | seconds | faster than one |\n|---|---|---|")
    for row, values in seconds.items():
        one = statistics.median(seconds[row[:-1] + "1"])
        print(f"| {row} | {statistics.median(values):.1f} | {one / statistics.median(values):.2f} |")
    if options.json:
        options.json.write_text(json.dumps({**facts, "machine": on, "seconds": seconds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
