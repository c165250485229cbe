"""Several runs on one folder, and several slides of one name: each slide once, none lost, none mixed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import command_environment
from outputs import digests, predicted, summary

from wsiseg import export
from wsiseg.errors import StoreError
from wsiseg.inference import slide as slide_module
from wsiseg.inference.observer import PredictObserver
from wsiseg.synthetic import SyntheticSlide, write_synthetic_image

pytestmark = pytest.mark.slow

SLIDES = 8


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two small pictures with other nuclei."""
    folder = tmp_path_factory.mktemp("pictures")
    scenes = [
        SyntheticSlide(260, 220, seed=seed, tissue_share=1.0, pen=False, stain_variation=0.0)
        for seed in (1, 2)
    ]
    return [write_synthetic_image(folder / f"{number}.png", scene) for number, scene in enumerate(scenes)]


def test_two_processes_share_the_slides_of_a_folder(
    tmp_path: Path, pictures: list[Path], model_file: Path
) -> None:
    slides, out = tmp_path / "slides", tmp_path / "out"
    slides.mkdir()
    for number in range(SLIDES):
        (slides / f"{number}.png").write_bytes(pictures[number % 2].read_bytes())
    arguments = ["predict", slides, "-o", out, "-m", model_file, "--slide-mpp", 0.25, "-w", 1, "-v"]
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "wsiseg", *map(str, arguments)],
            env=command_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [run.communicate(timeout=300)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    ended = [line for text in said for line in text.splitlines() if "event=slide_ended" in line]
    for number in range(SLIDES):
        states = [line.split("state=")[1].split()[0] for line in ended if f"name={number} " in line]
        assert sorted(states) in (["done", "skipped"], ["done", "elsewhere"])
    assert len(summary(out)) == SLIDES
    for number, picture in enumerate(pictures):
        predicted(picture, tmp_path / "alone", model_file, slide_mpp=0.25)
        expected = digests(tmp_path / "alone", str(number))
        for other in range(number, SLIDES, 2):
            found = digests(out, str(other))
            assert {
                key.replace(f"{other}.", f"{number}.", 1): value for key, value in found.items()
            } == expected
    assert not list(out.glob(".*"))


def test_slides_of_one_name_are_kept_apart_across_calls(
    tmp_path: Path, pictures: list[Path], model_file: Path
) -> None:
    out, paths = tmp_path / "out", []
    for folder, picture in (("a", 0), ("b", 1), ("c", 0)):
        paths.append(tmp_path / folder / "x.png")
        paths[-1].parent.mkdir()
        paths[-1].write_bytes(pictures[picture].read_bytes())
    one, other, copy = paths

    def run(*slides: Path, **settings: Any) -> list[tuple[str, str]]:
        reports = predicted(list(slides), out, model_file, slide_mpp=0.25, **settings)
        return [(report.name, report.state) for report in reports]

    assert run(one) == [("x", "done")]
    assert run(other) == [("b-x", "done")]
    kept = digests(out, "x")
    assert run(other) == [("b-x", "skipped")]
    # together they would both have got their folder's name
    assert run(one, other) == [("x", "skipped"), ("b-x", "skipped")]
    # the same pixels are the same slide, wherever they lie
    assert run(copy) == [("x", "skipped")]
    assert run(other, overwrite=True) == [("b-x", "done")]
    assert digests(out, "x") == kept
    assert {name: row["path"] for name, row in summary(out).items()} == {"x": str(copy), "b-x": str(other)}


class At(PredictObserver):
    """Does something at a phase."""

    def __init__(self, phase: str, act: Any) -> None:
        self.at, self.act = phase, act

    def phase(self, name: str) -> None:
        if name == self.at:
            self.act()


def test_another_slide_of_the_name_that_is_being_worked_on(
    tmp_path: Path, pictures: list[Path], model_file: Path
) -> None:
    for folder, picture in zip("ab", pictures, strict=True):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.png").write_bytes(picture.read_bytes())
    meanwhile: list[tuple[str, str]] = []

    def start_the_other() -> None:
        (report,) = predicted(tmp_path / "b" / "x.png", tmp_path / "out", model_file, slide_mpp=0.25)
        meanwhile.append((report.name, report.state))

    observer = At("writing labels", start_the_other)
    (report,) = predicted(
        tmp_path / "a" / "x.png", tmp_path / "out", model_file, slide_mpp=0.25, observer=observer
    )
    assert ((report.name, report.state), meanwhile) == (("x", "done"), [("b-x", "done")])


def test_export_waits_for_nobody_and_meets_nobody(
    tmp_path: Path, pictures: list[Path], model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def export_now() -> None:
        with pytest.raises(StoreError) as caught:
            export(tmp_path / "0.zarr")
        refused.append(str(caught.value))

    predicted(pictures[0], tmp_path, model_file, slide_mpp=0.25, observer=At("writing labels", export_now))
    (tmp_path / "0.geojson").unlink()
    plain = slide_module.write_nuclei

    def write(*arguments: Any) -> int:
        export_now()
        return plain(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(slide_module, "write_nuclei", write)
        predicted(pictures[0], tmp_path, model_file, slide_mpp=0.25)
    assert ["the slide is not finished" in refused[0], "is working on it" in refused[1]] == [True, True]
    assert json.loads((tmp_path / "0.geojson").read_text())["features"]


def test_a_run_that_lost_its_lock_lets_go(tmp_path: Path, pictures: list[Path], model_file: Path) -> None:
    """As one that slept for longer than a lock lives, and wakes up beside its heir."""
    from wsiseg.machine import locks

    def steal() -> None:
        lock = tmp_path / ".0.lock"
        lock.write_text(lock.read_text().replace('"token": "', '"token": "other'))
        deadline = time.monotonic() + 60
        while threads_of_locks() and time.monotonic() < deadline:
            time.sleep(0.01)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(locks, "TOUCH_EVERY_S", 0.02)
        (report,) = predicted(
            pictures[0], tmp_path, model_file, slide_mpp=0.25, observer=At("writing polygons", steal)
        )
    assert report.state == "failed"
    assert "was taken by another run" in report.cause
    assert not (tmp_path / "0.zarr").exists()


def test_two_runs_at_once_share_the_slides(tmp_path: Path, small_slide: Path, model_file: Path) -> None:
    slides = [tmp_path / "a.png", tmp_path / "b.png"]
    for slide in slides:
        slide.write_bytes(small_slide.read_bytes())
    alone = predicted(slides, tmp_path / "alone", model_file, slide_mpp=0.25)
    found: dict[int, list[str]] = {}

    def run(number: int) -> None:
        reports = predicted(slides, tmp_path / "shared", model_file, slide_mpp=0.25)
        found[number] = [report.state for report in reports]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(report.state == "done" for report in alone)
    for states in zip(found[0], found[1], strict=True):
        assert states.count("done") == 1
        assert set(states) <= {"done", "skipped", "elsewhere"}
    for name in ("a", "b"):
        assert digests(tmp_path / "shared", name) == digests(tmp_path / "alone", name)
    assert not list((tmp_path / "shared").glob(".*"))


def threads_of_locks() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "wsiseg-lock"]
