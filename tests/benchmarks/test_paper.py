"""The benchmark of the paper, on a small folder in CoNSeP's layout made here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from scipy import io

from wsiseg.network.fcnn import FCNN
from wsiseg.network.model import ModelInfo, save_model

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, imported as it is when it is run."""
    if not BENCHMARKS.is_dir():
        pytest.skip("benchmarks/ is not beside the tests")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("paper", "accuracy"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import paper as script

    return script


def write_consep(folder: Path, count: int, seed: int, side: int = 320) -> Path:
    """Write round violet nuclei on pink as Images/*.png and Labels/*.mat."""
    rng = np.random.default_rng(seed)
    (folder / "Images").mkdir(parents=True)
    (folder / "Labels").mkdir()
    rows, cols = np.mgrid[:side, :side]
    for i in range(count):
        nuclei = np.zeros((side, side), np.float64)
        for k, (y, x) in enumerate(rng.integers(12, side - 12, (60, 2))):
            disk = (rows - y) ** 2 + (cols - x) ** 2 <= rng.integers(5, 11) ** 2
            nuclei[disk & (nuclei == 0)] = k + 1
        rgb = np.where(nuclei[..., None] > 0, (90, 50, 130), (225, 170, 200)) + rng.normal(
            0, 8, (side, side, 3)
        )
        Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(folder / "Images" / f"train_{i + 1}.png")
        kept = {"inst_map": nuclei, "type_map": nuclei > 0, "inst_type": np.ones((60, 1))}
        io.savemat(folder / "Labels" / f"train_{i + 1}.mat", kept)
    return folder


FAST = ["--repeats", "2", "--epochs", "1", "--supervised-epochs", "1", "--pretext-steps", "1"]
FAST += ["--pretext-patch", "16", "--pretext-batch", "4", "--device", "cpu", "--threads", "1"]


def test_train_and_test_in_consep_layout(paper: ModuleType, tmp_path: Path) -> None:
    train, test = write_consep(tmp_path / "Train", 2, 0), write_consep(tmp_path / "Test", 1, 1)
    command = [str(train), "--test", str(test), "-o", str(tmp_path / "out"), *FAST]
    command += ["--rows", "threshold,script,supervised,scale-pretext,paper"]
    done = CliRunner().invoke(paper.main, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    table = (tmp_path / "out" / "tables.md").read_text()
    values = {
        line.split(" | ")[0].strip("| "): line.split(" | ") for line in table.splitlines() if "|" in line
    }
    assert float(values["threshold"][1]) > 0.9
    assert float(values["script"][7]) > 0.5, "PQ: the .mat files tell nuclei apart"
    assert "CoNSeP" in table
    assert 0 <= float(values["paper"][5]) <= 1
    assert "± " in values["paper"][1]
    assert "for 1 epochs" in table
    for name in ("figure1.png", "figure3.png", "figure4.png"):
        assert (tmp_path / "out" / name).stat().st_size > 1000

    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "cells").rglob("*.json")}
    assert len(kept) == 7
    again = CliRunner().invoke(paper.main, command, catch_exceptions=False)
    assert again.stderr == ""
    assert again.stdout == done.stdout
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


def test_ablations_are_medians_of_three_runs(
    paper: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paper, "ABLATIONS", {"patch side": ("patch_px", (120,), (0.6871,))})
    data = write_consep(tmp_path / "Train", 2, 0)
    command = [str(data), "-o", str(tmp_path / "out"), "--folds", "2", "--rows", "threshold", *FAST]
    command += ["--ablations", "--ablation-epochs", "1"]
    assert CliRunner().invoke(paper.main, command, catch_exceptions=False).exit_code == 0
    line = (tmp_path / "out" / "tables.md").read_text().splitlines()[-1]
    setting, median, runs, theirs = (part.strip() for part in line.strip("| ").split(" | "))
    assert (setting, theirs) == ("120", "0.6871")
    assert median == sorted(runs.split(", "))[1]


def test_cross_validation_scores_every_image_once(paper: ModuleType, tmp_path: Path) -> None:
    data = write_consep(tmp_path / "Train", 4, 0, side=120)
    command = [str(data), "-o", str(tmp_path / "out"), "--folds", "2", "--rows", "threshold"]
    assert CliRunner().invoke(paper.main, command, catch_exceptions=False).exit_code == 0
    cells = [json.loads(path.read_text()) for path in sorted((tmp_path / "out" / "cells").rglob("*.json"))]
    assert sorted(name for cell in cells for name in cell["scores"]) == [f"train_{i}" for i in range(1, 5)]
    for cell in cells:
        assert not set(cell["settings"]["train"]) & set(cell["settings"]["test"])


def test_folds_may_be_computed_by_several_commands(paper: ModuleType, tmp_path: Path) -> None:
    data = write_consep(tmp_path / "Train", 4, 0, side=120)
    command = [str(data), "-o", str(tmp_path / "out"), "--folds", "2", "--rows", "threshold"]
    for fold in ("2", "1"):
        done = CliRunner().invoke(paper.main, [*command, "--fold", fold], catch_exceptions=False)
        assert f"fold {fold} only" in (tmp_path / "out" / f"tables-fold-{fold}.md").read_text()
        assert f"threshold/fold-{fold} ..." in done.stderr
    whole = CliRunner().invoke(paper.main, command, catch_exceptions=False)
    assert whole.stderr == ""
    assert "only" not in (tmp_path / "out" / "tables.md").read_text()
    beyond = CliRunner().invoke(paper.main, [*command, "--fold", "3"])
    assert beyond.exit_code == 2
    assert "--fold 3: there are 2" in beyond.stderr


def test_other_settings_make_a_cell_stale(paper: ModuleType, tmp_path: Path) -> None:
    from harness.cells import cell

    made: list[int] = []

    def compute() -> dict[str, int]:
        made.append(1)
        return {"scores": len(made)}

    for settings in ({"a": 1}, {"a": 1}, {"a": 2}):
        cell(tmp_path / "row" / "c.json", settings, compute, lambda text: None)
    assert len(made) == 2


def test_folders_without_labelled_images_are_said(paper: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    done = CliRunner().invoke(paper.main, [str(tmp_path), "-o", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "no folder of images" in done.stderr
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "images" / "a.png")
    done = CliRunner().invoke(paper.main, [str(tmp_path), "-o", str(tmp_path / "out")])
    assert "no labelled images" in done.stderr


def test_unknown_rows_are_refused(paper: ModuleType, tmp_path: Path) -> None:
    done = CliRunner().invoke(paper.main, [str(tmp_path), "-o", str(tmp_path / "o"), "--rows", "magic"])
    assert done.exit_code == 2
    assert "there is no magic" in done.stderr


def test_spread_and_best_are_those_of_a_split(paper: ModuleType) -> None:
    from harness.tables import summary

    def cell(**dice: float) -> dict[str, object]:
        return {"scores": {name: {"dice": value} for name, value in dice.items()}, "train_s": 2.0}

    found = summary([[cell(a=0.2, b=0.4), cell(a=0.6, b=0.6)], [cell(c=0.9), cell(c=0.3)]])
    # Means of the repeats: 0.3 and 0.6 over two images, 0.9 and 0.3 over one.
    assert found["dice"]["mean"] == pytest.approx(0.5)
    assert found["dice"]["max"] == pytest.approx((2 * 0.6 + 0.9) / 3)
    assert found["dice"]["p80"] == pytest.approx((2 * 0.54 + 0.78) / 3)
    assert found["dice"]["sd"] == pytest.approx((2 * 0.15 * 2**0.5 + 0.3 * 2**0.5) / 3)
    assert (found["images"]["dice"], found["images"]["aji"], found["train_s"]) == (3, 0, 2.0)


def test_outlines_are_drawn_with_their_borders(paper: ModuleType, tmp_path: Path) -> None:
    from harness.fields import drawn

    corners = [(1.4, 1.0), (4.2, 1.0), (4.2, 2.6), (1.4, 2.6)]
    vertices = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in corners)
    text = f"<Annotations><Region><Vertices>{vertices}</Vertices></Region></Annotations>"
    (tmp_path / "a.xml").write_text(text)
    assert drawn(tmp_path / "a.xml", (5, 6)).astype(int).tolist() == [
        [0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 1, 0],
        [0, 1, 1, 1, 1, 0],
        [0, 1, 1, 1, 1, 0],
        [0, 0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize(("mpp", "seen"), [(0.25, "rgb"), (0.5, "stains")])
def test_accuracy_scores_a_model_in_the_pixels_of_the_image(
    paper: ModuleType, tmp_path: Path, mpp: float, seen: str
) -> None:
    import accuracy

    data = write_consep(tmp_path / "Test", 2, 0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_model(tmp_path / "m.safetensors", FCNN(1), ModelInfo(classes=1, mpp=mpp, input=seen))
    command = [
        str(data),
        "-m",
        str(tmp_path / "m.safetensors"),
        "-o",
        str(tmp_path / "a.json"),
        "--device",
        "cpu",
    ]
    done = CliRunner().invoke(accuracy.main, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "a.json").read_text())
    (methods,) = found["sets"].values()
    assert set(methods[str(tmp_path / "m.safetensors")]["images"]) == {"train_1", "train_2"}
    assert methods["script"]["mean"]["dice"] > 0.8
    assert "mean ± sd over 2 images" in done.stdout


def test_a_mosaic_of_several_sets_is_scored_image_by_image(paper: ModuleType, tmp_path: Path) -> None:
    import accuracy

    sets = [str(write_consep(tmp_path / name, count, 0)) for name, count in (("A", 3), ("B", 2))]
    model = str(tmp_path / "m.safetensors")
    save_model(Path(model), FCNN(1), ModelInfo(classes=1, mpp=0.25, input="rgb"))
    command = [*sets, "-m", model, "--mosaic", "--device", "cpu", "-o", str(tmp_path / "a.json")]
    done = CliRunner().invoke(accuracy.main, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "a.json").read_text())["sets"]
    assert [len(found[name]["script"]["images"]) for name in sets] == [3, 2]
    assert min(s["aji"] for s in found[sets[0]]["script"]["images"].values()) > 0.5
    assert "| B | script - " in done.stdout


def test_an_interval_holds_the_mean_and_is_paired(paper: ModuleType) -> None:
    from accuracy import interval

    spread = np.linspace(0.1, 0.9, 20)
    first = {str(k): {"aji": value} for k, value in enumerate(spread)}
    better = {str(k): {"aji": value + 0.02} for k, value in enumerate(spread)}
    noisy = {str(k): {"aji": value + 0.1 * (-1) ** k} for k, value in enumerate(spread)}
    assert interval(first, better, "aji") == pytest.approx((0.02, 0.02, 0.02))
    mean, low, high = interval(first, noisy, "aji")
    assert mean == pytest.approx(0)
    assert -0.1 < low < 0 < high < 0.1


def test_level0_pixels_take_what_their_centre_lies_in(paper: ModuleType) -> None:
    from harness.network import at_level0

    values = np.array([[1, 2], [3, 4]])
    assert at_level0(values, 2.0, (3, 5)).tolist() == [[1, 1, 2, 2, 2], [1, 1, 2, 2, 2], [3, 3, 4, 4, 4]]
    assert at_level0(values, 1.0, (2, 2)) is values


@pytest.mark.real_data
def test_monuseg_layout(paper: ModuleType, shared_data: Path) -> None:
    from harness.fields import folds, read_fields

    fields = read_fields(shared_data / "monuseg")
    assert len(fields) == 30
    outlined = [field for field in fields if field.instances and field.instances.suffix == ".xml"]
    assert len(outlined) == 13
    assert all(field.mask.suffix == ".png" for field in fields)
    parts = folds(fields, 5)
    assert [len(part) for part in parts] == [6] * 5
    assert fields[0].score(fields[0].truth)["dice"] == 1
