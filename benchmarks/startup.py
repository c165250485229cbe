"""How long small things take from the shell: --help, info, and predict on one image.

    python benchmarks/startup.py [--rounds 5] [--json FILE]

The image is a generated one of 1000 x 1000 px at 0.25 um per pixel, the slide one of 4096 x 4096 px. Compiled
code is kept from a first run, which does not count.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.machine import Took, machine, took

from wsiseg.synthetic import SyntheticSlide, write_synthetic

BOUNDS = {"wsiseg --help": 0.3, "wsiseg info": 1.5, "wsiseg predict, 1000 x 1000 px": 5.0}


def wsiseg(*arguments: object) -> Took:
    """Run a command of wsiseg in a process of its own."""
    command = [sys.executable, "-m", "wsiseg", *map(str, arguments)]
    return took(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image, slide = folder / "image.tif", folder / "slide.svs"
        write_synthetic(image, SyntheticSlide(1000, 1000, tissue_share=1, pen=False))
        write_synthetic(slide, SyntheticSlide(4096, 4096))
        predict = ["predict", image, "-o", folder / "out", "-q", "--device", "cpu", "--overwrite"]
        commands = dict(zip(BOUNDS, (["--help"], ["info", slide], predict), strict=True))
        runs: dict[str, list[Took]] = {}
        for what, command in commands.items():
            wsiseg(*command)
            runs[what] = [wsiseg(*command) for _ in range(options.rounds)]
    wall = {what: statistics.median(run.wall_s for run in found) for what, found in runs.items()}
    cpu = {what: statistics.median(run.cpu_s for run in found) for what, found in runs.items()}
    print("| what | seconds (median) | processor seconds | bound |\n|---|---|---|---|")
    for what, bound in BOUNDS.items():
        print(f"| {what} | {wall[what]:.2f} | {cpu[what]:.2f} | {bound} |")
    if options.json:
        options.json.write_text(json.dumps({"wall_s": wall, "cpu_s": cpu}, indent=1) + "\n")
    return int(any(wall[what] > bound for what, bound in BOUNDS.items()))


if __name__ == "__main__":
    sys.exit(main())
