"""Folders of predictions against folders of labels, and the command."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from label_files import XML, feature, region, square, store
from PIL import Image

from wsiseg.cli.evaluate import command
from wsiseg.errors import LabelError, UsageError
from wsiseg.evaluation.evaluate import evaluate

TRUTH = np.array([[1, 1, 0, 2], [1, 1, 0, 2], [0, 0, 0, 0]], np.uint16)
FOUND = np.array([[4, 4, 0, 0], [4, 4, 0, 0], [0, 0, 0, 0]], np.uint16)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    predictions, labels = tmp_path / "out", tmp_path / "labels"
    predictions.mkdir()
    labels.mkdir()
    outlines = [feature([square(0, 0, 2, 2)]), feature([square(3, 0, 4, 2)])]
    (predictions / "a.geojson").write_text(json.dumps(outlines))
    store(predictions / "a.zarr", FOUND, {"scale_l0": 1.0})
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(predictions / "a.png")
    (predictions / "run.json").write_text("{}")
    (predictions / "summary.csv").write_text("name\n")
    Image.fromarray(FOUND).save(predictions / "b.png")
    for name in "ab":
        Image.fromarray(TRUTH).save(labels / f"{name}_labels.png")
    return predictions, labels


def test_rows_mean_and_spread(folders: tuple[Path, Path]) -> None:
    result = evaluate(*folders)
    assert [image.name for image in result.images] == ["a", "b"]
    perfect, half = (image.scores for image in result.images)
    assert (perfect.aji, perfect.pq, perfect.count_error) == (1, 1, 0)
    assert (half.dice, half.aji, half.count_error) == (pytest.approx(8 / 10), pytest.approx(4 / 6), 0.5)
    assert result.mean["dice"] == pytest.approx(0.9)
    assert result.sd["dice"] == pytest.approx(np.std([1, 0.8], ddof=1))
    assert all(image.has_instances for image in result.images)


def test_it_shows_itself(folders: tuple[Path, Path]) -> None:
    result = evaluate(*folders)
    assert repr(result) == "<Evaluation of 2 images: dice 0.900, aji 0.833, pq 0.833, f1 0.833>"
    page = result._repr_html_()
    assert page.count("<tr>") == 1 + 2 + 2
    assert "<td>b</td><td>0.800</td>" in page


def test_csv_and_json_hold_the_same(folders: tuple[Path, Path]) -> None:
    result = evaluate(*folders)
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(result.to_csv()))}
    read = json.loads(result.to_json())
    assert list(rows) == ["a", "b", "mean", "sd"]
    assert float(rows["b"]["aji"]) == pytest.approx(read["images"][1]["aji"], abs=1e-6)
    assert float(rows["mean"]["pq"]) == pytest.approx(read["mean"]["pq"], abs=1e-6)


def test_outlines_against_each_other_need_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text(
        json.dumps([feature([square(1, 1, 3, 3)]), feature([square(5, 0, 6, 8)])])
    )
    (tmp_path / "a.xml").write_text(XML.format(region((1.1, 1.1), (2.9, 1.1), (2.9, 2.9), (1.1, 2.9))))
    scores = evaluate(tmp_path / "a.geojson", tmp_path / "a.xml").images[0].scores
    assert scores.dice == pytest.approx(2 * 4 / (12 + 4))


def test_a_bad_image_is_named_and_the_rest_is_scored(folders: tuple[Path, Path]) -> None:
    predictions, labels = folders
    Image.fromarray(TRUTH[:2]).save(labels / "b_labels.png")
    Image.fromarray(TRUTH).save(labels / "c.png")
    Image.fromarray(TRUTH).save(predictions / "d.png")
    result = evaluate(predictions, labels)
    assert [image.name for image in result.images] == ["a"]
    assert "4 x 3 px for an image of 4 x 2 px" in result.failed["b"]
    assert (result.without_labels, result.without_prediction) == (("d",), ("c",))


def test_nothing_to_compare_is_said(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no predictions"):
        evaluate(tmp_path / "empty", folders[1])
    with pytest.raises(UsageError, match="no such file or folder; give what"):
        evaluate(tmp_path / "nowhere", folders[1])
    with pytest.raises(LabelError, match="no label file is named like"):
        evaluate(folders[0], tmp_path / "empty")


def test_command_prints_a_plain_table_and_writes_files(folders: tuple[Path, Path], tmp_path: Path) -> None:
    places = [str(place) for place in folders]
    done = CliRunner().invoke(command, [*places, "-o", str(tmp_path / "new" / "m.csv")])
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][:4] == ["image", "Dice", "AJI", "PQ"]
    assert lines[3][:3] == ["mean", "0.900", "0.833"]
    assert (tmp_path / "new" / "m.csv").read_text() == evaluate(*folders).to_csv()
    shown = CliRunner().invoke(command, [*places, "--json"])
    assert json.loads(shown.stdout)["mean"]["dice"] == pytest.approx(0.9)


def test_command_says_what_failed_and_what_masks_cannot_tell(folders: tuple[Path, Path]) -> None:
    predictions, labels = folders
    (labels / "a_labels.png").write_bytes(b"broken")
    Image.fromarray((TRUTH > 0).astype(np.uint8)).save(labels / "b_labels.png")
    done = CliRunner().invoke(command, [str(predictions), str(labels)])
    assert done.exit_code == 1
    assert "a_labels.png: not a readable PNG" in done.stderr
    assert "1 of 1 images: a binary mask" in done.stderr


def test_command_with_several_predictions(folders: tuple[Path, Path]) -> None:
    predictions, labels = folders
    done = CliRunner().invoke(command, [str(predictions / "a.zarr"), str(predictions / "b.png"), str(labels)])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1].startswith("sd")
