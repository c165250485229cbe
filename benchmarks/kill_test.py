"""kill -9 of `wsiseg predict` and `wsiseg fit` at random moments: what is lost, what is done twice.

    python benchmarks/kill_test.py [--kills 100] [--seed N] [--only predict|fit] [--side 3000]

A command runs on a slide made here, is killed, is started again, and so on until it has ended by itself;
then on a new folder, until there were so many kills. A kill falls after a random while, or a moment after
one or two more pieces of work are done, so that late stages are hit as well. Every folder must hold the same
bytes as one that nobody disturbed (arrays of the store; files but for run times), and what was marked as done
before a kill must not have been touched after it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import zarr
from harness.machine import machine

from wsiseg.synthetic import SyntheticSlide, write_synthetic

Digests = dict[str, str]
Command = list[str]
MARKS = ("status", "work/status", "work/made")


def main() -> None:
    """Kill, compare, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--only", choices=["predict", "fit"])
    parser.add_argument("--side", type=int, default=3000, help="side of the slide in pixels")
    asked = parser.parse_args()
    print(machine())
    print(f"seed {asked.seed}")
    chance = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        scene = SyntheticSlide(asked.side, asked.side, seed=3, tissue_share=0.6, pen=False)
        slide = write_synthetic(work / "slide.svs", scene, levels=(4, 16))
        predict = ["predict", str(slide), "--tile-size", "256", "-w", "2", "-q", "-o"]
        fit = ["fit", str(slide), "--repeats", "2", "--epochs", "4", "--threads", "1", "-q", "-o"]
        print("| command | kills | runs | alone (s) | killed while | done twice | other than undisturbed |")
        print("|---|---|---|---|---|---|---|")
        if asked.only != "fit":
            print(row(predict, work, asked.kills, chance, predicted, predict_marks, predict_phase))
        if asked.only != "predict":
            print(row(fit, work, asked.kills, chance, trained, fit_marks, fit_phase))


def row(
    command: Command,
    work: Path,
    kills: int,
    chance: random.Random,
    digests: Callable[[Path], Digests],
    marks: Callable[[Path], Digests],
    phase: Callable[[Path], str],
) -> str:
    """Kill a command so often; return a row of the table."""
    began = time.monotonic()
    alone = work / f"{command[0]}-alone"
    if start(command, alone).wait():
        raise SystemExit(f"{command[0]} fails undisturbed")
    alone_s = time.monotonic() - began
    expected = digests(alone)
    killed, runs, twice, other = Counter[str](), 0, 0, 0
    while killed.total() < kills:
        out, longest_s, before = work / f"{command[0]}-{runs}", 0.8 * alone_s, Digests()
        while True:
            process = start(command, out)
            if killed.total() < kills:
                await_moment(process, chance, longest_s, partial(marks, out))
            else:
                process.wait()
            if process.poll() is None:
                process.kill()
                process.wait()
                longest_s *= 1.1
                killed[phase(out)] += 1
            elif process.returncode:
                raise SystemExit(f"{command[0]} ended with {process.returncode}")
            else:
                break
            now = marks(out)
            twice += sum(now.get(place, stamp) != stamp for place, stamp in before.items())
            before = now
        runs += 1
        other += digests(out) != expected
    places = ", ".join(f"{where} {count}" for where, count in killed.most_common())
    return f"| {command[0]} | {killed.total()} | {runs} | {alone_s:.1f} | {places} | {twice} | {other} |"


def await_moment(
    process: subprocess.Popen[bytes], chance: random.Random, longest_s: float, done: Callable[[], Digests]
) -> None:
    """Return at a random moment, or when the process has ended."""
    if chance.random() < 0.5:
        wait(process, chance.uniform(0, longest_s))
        return
    wanted = len(done()) + chance.randint(1, 2)
    while process.poll() is None and len(done()) < wanted:
        time.sleep(0.05)
    wait(process, chance.uniform(0, 0.1 * longest_s))


def wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait so long for a process at most."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def start(command: Command, out: Path) -> subprocess.Popen[bytes]:
    """Start a command."""
    return subprocess.Popen(
        [sys.executable, "-m", "wsiseg", *command, str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def predicted(out: Path) -> Digests:
    """Return the hashes of what `predict` left."""
    store = zarr.open_group(out / "slide.zarr", mode="r")
    found = {
        name: sha(np.asarray(node[:]).tobytes())
        for name, node in store.members(max_depth=None)
        if isinstance(node, zarr.Array)
    }
    files = [out / f"slide.{ending}" for ending in ("geojson", "parquet", "png")]
    found |= {file.name: sha(file.read_bytes()) for file in files}
    return found | {"names": str(sorted(os.listdir(out)))}


def predict_marks(out: Path) -> Digests:
    """Return what tells a mark of done work from the same mark written again."""
    store = unfinished(out)
    files = [file for place in MARKS for file in (store / place).rglob("*")]
    found = {}
    for file in files:
        # The process goes on while this looks.
        with suppress(FileNotFoundError):
            if file.is_file() and "." not in file.name:
                status = file.stat()
                found[str(file.relative_to(store))] = f"{status.st_ino} {status.st_mtime_ns}"
    return found


def predict_phase(out: Path) -> str:
    """Say how far `predict` was."""
    store = unfinished(out)
    if store.name == "slide.zarr":
        return "finishing" if store.exists() else "starting"
    if (store / "work" / "keys.npy").exists():
        return "writing"
    return "computing"


def unfinished(out: Path) -> Path:
    """Return the store that is worked on, or the finished one."""
    store = out / "slide.zarr.unfinished"
    return store if store.exists() else out / "slide.zarr"


def trained(out: Path) -> Digests:
    """Return the hashes of what `fit` left, but for what holds run times."""
    files = [*out.rglob("*.safetensors"), *out.rglob("*.png")]
    found = {str(file.relative_to(out)): sha(file.read_bytes()) for file in files}
    return found | {"names": str(sorted(str(file.relative_to(out)) for file in out.rglob("*")))}


def fit_marks(out: Path) -> Digests:
    """Return the record of every epoch, which has the seconds that it took."""
    found = {}
    for file in out.rglob("checkpoint"):
        data = file.read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        for record in json.loads(header["__metadata__"]["wsiseg"])["history"]:
            found[f"{file.parent.name} {record['epoch']}"] = str(record)
    return found


def fit_phase(out: Path) -> str:
    """Say how far `fit` was."""
    if (out / "model.safetensors").exists():
        return "reporting"
    if (out / "consensus").exists():
        return "consensus"
    return "repeats" if list(out.glob("repeat-*/checkpoint")) else "starting"


def sha(data: bytes) -> str:
    """Return a hash."""
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    main()
