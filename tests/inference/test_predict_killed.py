"""Invariant 4: killed at any moment and started again, a run ends as one that never was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import warm_predict
from command_line import command_environment
from killing import Killer, Stamps, stamps
from outputs import digests, predicted
from warm_predict import WORKERS, predict

from wsiseg.synthetic import SyntheticSlide, write_synthetic

pytestmark = pytest.mark.slow

KILLS = 24


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of four network blocks and 35 tiles of 256 px."""
    scene = SyntheticSlide(1700, 1200, seed=8, tissue_share=0.8, pen=False, stain_variation=0.0)
    return write_synthetic(tmp_path_factory.mktemp("slides") / "slide.svs", scene, levels=(4,), workers=1)


class Watched:
    """A store between kills: what is marked as done stays as it is, and little more is begun than marked."""

    def __init__(self, out: Path) -> None:
        self.out, self.before, self.at = out, Stamps(), list[str]()

    def look(self) -> None:
        """Compare with the look before."""
        store = next(
            (s for s in (self.out / "slide.zarr.unfinished", self.out / "slide.zarr") if s.exists()), None
        )
        if store is None:
            self.at.append("before the store")
            return
        now = stamps(store, "status", "work/status", "work/made")
        # the work folder goes, file by file, once the store is in place
        work = ("work/",) if store.name == "slide.zarr" else ()
        known = {place: stamp for place, stamp in self.before.items() if not place.startswith(work)}
        assert {place: now.get(place) for place in known} == known
        self.before = now
        self.at.append(phase(store, now))
        if store.name == "slide.zarr":
            return
        for written, marked in (("0", "status/network"), ("labels/nuclei/0", "work/status/labels")):
            begun = {place.split("/c/")[1] for place in stamps(store, f"{written}/c")}
            done = {place.split("/c/")[1] for place in now if place.startswith(f"{marked}/c")}
            assert len(begun - done) <= WORKERS
        begun = {tuple(file.name.split(".")[0].split("-")) for file in store.glob("work/records/[0-9]*")}
        done = {tuple(place.split("/")[-2:]) for place in now if place.startswith("status/objects/c")}
        assert len(begun - done) <= WORKERS


def phase(store: Path, now: Stamps) -> str:
    """Say how far a run was."""
    if store.name == "slide.zarr":
        return "after the rename"
    if (store / "work" / "keys.npy").exists():
        return "files and labels"
    return "tiles" if any(place.startswith("status/objects/c") for place in now) else "blocks"


@pytest.mark.timeout(1800)
def test_kill_9_at_random_moments(tmp_path: Path, slide: Path, model_file: Path) -> None:
    killer = Killer(KILLS, warm_predict)
    alone_s = killer.undisturbed(predict, slide, tmp_path / "alone", model_file)
    expected, listed = digests(tmp_path / "alone"), names(tmp_path / "alone")
    at: list[str] = []
    for out in killer.folders(tmp_path):
        watched = Watched(out)
        killer.until_done(0.7 * alone_s, watched.look, predict, slide, out, model_file)
        watched.look()
        assert digests(out) == expected
        assert names(out) == listed
        at += watched.at[:-1]
    print("killed in:", {where: at.count(where) for where in sorted(set(at))})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, slide: Path, model_file: Path) -> tuple[Path, float]:
    """What a command leaves that nobody stops, and the seconds it takes."""
    out = tmp_path_factory.mktemp("plain")
    began = time.monotonic()
    assert ended(start(slide, out, model_file))[0] == 0
    return out, time.monotonic() - began


def start(slide: Path, out: Path, model: Path, *more: object) -> subprocess.Popen[str]:
    """Start a command and wait until it hears signals."""
    arguments = ["predict", slide, "-o", out, "-m", model, "--tile-size", 256, "-w", WORKERS, *more]
    process = subprocess.Popen(
        [sys.executable, "-m", "wsiseg", *map(str, arguments)],
        env=command_environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # what runs in the background of a shell, as tests may, ignores Ctrl-C, and so do its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    while process.poll() is None and not hears(process.pid, signal.SIGTERM):
        time.sleep(0.005)
    return process


def hears(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=300)
    return process.returncode, said


linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")


@linux
def test_kill_9_of_the_command_from_its_first_import_on(
    tmp_path: Path, slide: Path, model_file: Path, plain: tuple[Path, float]
) -> None:
    chance, (expected, alone_s) = Killer(0).chance, plain
    for _ in range(4):
        process = start(slide, tmp_path, model_file)
        time.sleep(chance.uniform(0.0, alone_s))
        process.kill()
        process.communicate()
    code, said = ended(start(slide, tmp_path, model_file))
    assert code == 0, said
    assert digests(tmp_path) == digests(expected)
    assert (tmp_path / "slide.preview.jpg").read_bytes() == (expected / "slide.preview.jpg").read_bytes()
    assert names(tmp_path) == names(expected)


# A machine that is busy with other work is slower than the promise.
SOON_S = 5.0 + 2.0 * (os.getloadavg()[0] > 2)


@linux
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_stop_the_command_soon_and_keep_its_state(
    tmp_path: Path, slide: Path, model_file: Path, plain: tuple[Path, float], number: int, code: int
) -> None:
    """At random moments from the first import to the last file, and one in the imports."""
    chance, (expected, alone_s) = Killer(0).chance, plain
    codes: list[Any] = []
    for longest_s in (0.2 * alone_s, alone_s, alone_s, alone_s):
        process = start(slide, tmp_path, model_file)
        time.sleep(chance.uniform(0.0, longest_s))
        process.send_signal(number)
        sent = time.monotonic()
        codes.append(ended(process))
        assert time.monotonic() - sent < SOON_S
        if codes[-1][0] in (0, -number):
            # it had ended, or was in the last moments of the interpreter, which hears no more
            assert (tmp_path / "slide.zarr").exists()
            break
        assert codes[-1][0] == code, codes[-1][1]
        assert "repeat the command to resume" in codes[-1][1]
        assert "Traceback" not in codes[-1][1]
    assert codes[0][0] == code
    (report,) = predicted(slide, tmp_path, model_file, tile_px=256)
    assert report.state in ("done", "skipped")
    assert digests(tmp_path) == digests(expected)
