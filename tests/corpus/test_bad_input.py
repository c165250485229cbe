"""Bad input by the command line: a line a slide that says why, the right exit code, all else done."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path

import pytest
from bad_slides import bad_slides, odd_slides
from command_line import Command

from wsiseg.errors import shown

pytestmark = pytest.mark.slow


def tree(folder: Path) -> set[str]:
    """Return all paths under a folder."""
    return {os.fsdecode(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], list[str]]:
    """A folder with `bad/`, `odd/` and a list of the odd ones with their mpp."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "bad").mkdir()
    (folder / "odd").mkdir()
    bad, odd = bad_slides(folder / "bad"), odd_slides(folder / "odd")
    with (folder / "odd.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(["slide", "mpp", "remark"])
        writer.writerows([[f"odd/{name}", 0.25, "x"] for name in [*odd, "link.png"]])
    return folder, bad, odd


def test_a_batch_of_bad_slides_does_the_good_ones_and_names_the_others(
    batch: tuple[Path, dict[str, str], list[str]], model_file: Path, command: Command
) -> None:
    folder, bad, odd = batch
    before = tree(folder)
    slides = [folder / "bad" / name for name in bad]
    ended = command(
        "predict", folder / "odd.csv", *slides, "-m", model_file, "-o", folder / "out", "-w", 1, cwd=folder,
        timeout_s=400,
    )  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", ended.stderr + ended.stdout)
    with (folder / "out" / "summary.csv").open(newline="", encoding="utf-8") as file:
        rows = {os.path.basename(row["path"]): row for row in csv.DictReader(file)}
    assert {rows[name]["state"] for name in odd} == {"done"}, [rows[name]["cause"] for name in odd]
    listed = ended.stderr[ended.stderr.index("Not done:") :].splitlines()[1:]
    causes = {rows[name]["cause"] for name in bad}
    assert len(listed) == len(causes)
    for name, cause in bad.items():
        path = re.compile(rf"/{re.escape(shown(name))}(, |: | and \d+ more: )")
        (line,) = filter(path.search, listed)
        assert re.search(cause, line), line
        assert len(line) < 900, line
        assert "Error" not in line, line
        assert rows[name]["state"] in ("failed", "incomplete")
        assert re.search(cause, rows[name]["cause"]), rows[name]["cause"]
    assert f"{len(odd)} of {len(odd) + len(bad)} slides done" in ended.stdout
    run = json.loads((folder / "out" / "run.json").read_text(encoding="utf-8"))
    assert len(run["slides"]) == len(odd) + len(bad)
    # nothing is left but outputs
    after = tree(folder)
    assert before <= after
    assert all(path.split(os.sep)[0] == "out" for path in after - before)
    failed = {rows[name]["name"] for name in bad if rows[name]["state"] == "failed"}
    assert not [path for path in os.listdir(folder / "out") if path.split(".")[0] in failed]


def test_info_says_the_same(
    batch: tuple[Path, dict[str, str], list[str]], model_file: Path, command: Command
) -> None:
    folder, bad, _ = batch
    names = [name for name in bad if not name.startswith("cut")]
    ended = command("info", "--json", "-m", model_file, *(folder / "bad" / name for name in names))
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    found = json.loads(ended.stdout)
    for name, slide in zip(names, found, strict=True):
        assert re.search(bad[name], slide["error"]), slide


def test_fit_leaves_bad_slides_out_or_says_that_none_is_good(
    batch: tuple[Path, dict[str, str], list[str]], command: Command
) -> None:
    folder, bad, _ = batch
    names = ["empty.svs", "text.svs", "size-square.svs", "bomb.png"]
    ended = command("fit", *(folder / "bad" / name for name in names), "-o", folder / "run")
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    for name in names:
        assert re.search(f"{re.escape(name)}.*({bad[name]})", ended.stderr), ended.stderr
