"""Reproduce tables 1 and 2 and figures 1, 3 and 4 of Boserup & Selvan (NLDL 2023).

    python benchmarks/paper.py DATA -o OUT                 5-fold cross-validation over the images of DATA
    python benchmarks/paper.py DATA --test TEST -o OUT     train on DATA, score on TEST

DATA and TEST are folders in the layout of MoNuSeg (images/, masks/ and/or annotations/, or images and XML
side by side) or of CoNSeP (Images/, Labels/). Every cell of the tables is a JSON file in OUT; what is there
is not computed again, so the same command goes on where it was stopped, and several commands may work on one
OUT, each on a fold of its own (--fold 1, --fold 2, ...). With everything at its default this takes days on
two cores, hours on a GPU; --rows, --repeats and --epochs make it shorter, which the tables say.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import click
from harness.cells import cell
from harness.fields import Field, folds, read_fields
from harness.figures import copy_training_figures, figure3
from harness.files import write_text
from harness.network import finder
from harness.rows import (
    PAPER_OBJECTS,
    ROWS,
    Bench,
    Split,
    fitted_cells,
)
from harness.tables import summary, table1, table2

from wsiseg.errors import WsisegError
from wsiseg.training.presets import preset

# Setting of table 1 -> (name in TrainingConfig, values, the paper's medians).
ABLATIONS = {
    "patches": ("draws", (5, 10, 15, 20, 25), (0.6643, 0.7071, 0.6682, 0.6986, 0.6059)),
    "patch side": ("patch_px", (20, 30, 50, 80, 120), (0.5063, 0.6562, 0.6980, 0.6606, 0.6871)),
}
FIGURE_IMAGES = 4


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--test", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Test images.")
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--rows", default=",".join(ROWS), show_default=True, help="Rows of table 2, with commas.")
@click.option("--folds", "fold_count", default=5, show_default=True, help="Parts of the cross-validation.")
@click.option(
    "--fold", "chosen", type=click.IntRange(1), multiple=True, help="Compute this fold only; can be repeated."
)
@click.option("--repeats", default=10, show_default=True, help="Repeats of the paper's method.")
@click.option("--epochs", type=int, help="Epochs of the paper's method.  [default: 300, the paper's]")
@click.option("--supervised-epochs", default=80, show_default=True)
@click.option("--pretext-steps", default=20_000, show_default=True, help="Steps of Scale Pretext.")
@click.option("--pretext-patch", default=160, show_default=True, help="Side of its patches in pixels.")
@click.option(
    "--pretext-batch", default=32, show_default=True, help="Its patches a step (32 of 160 px: 12 GB)."
)
@click.option("--ablations/--no-ablations", default=False, show_default=True, help="Also table 1.")
@click.option("--ablation-epochs", default=200, show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option(
    "--threads", default=os.cpu_count() or 1, show_default="all cores",
    help="Of the supervised network and of Scale Pretext; `fit` sees to itself.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True)
def main(
    data: Path, test: Path | None, output: Path, rows: str, fold_count: int, chosen: tuple[int, ...],
    repeats: int, epochs: int | None,
    supervised_epochs: int, pretext_steps: int, pretext_patch: int, pretext_batch: int,
    ablations: bool, ablation_epochs: int, device: str, threads: int, seed: int,
) -> None:  # fmt: skip
    """Reproduce the paper's tables and figures on DATA, in OUTPUT."""
    unknown = [name for name in rows.split(",") if name not in ROWS]
    if unknown:
        raise click.UsageError(f"--rows: there is no {', '.join(unknown)}; choose of {', '.join(ROWS)}")
    bench = Bench(
        output, device, threads, repeats, epochs, supervised_epochs, pretext_steps, pretext_patch,
        pretext_batch, seed,
        lambda text: click.echo(text, err=True),
    )  # fmt: skip
    only = sorted(set(chosen))
    try:
        fields = read_fields(data, as_authors=True)
        splits = _splits(fields, test, fold_count)
        if only and only[-1] > len(splits):
            raise click.UsageError(f"--fold {only[-1]}: there are {len(splits)}")
        parts = [splits[k - 1] for k in only] or splits
        text = _table2(
            bench, parts, rows.split(","), _how(len(fields), test, fold_count, only), _data_set(fields)
        )
        if ablations:
            text += "\n" + _table1(bench, parts[0], ablation_epochs)
    except WsisegError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    name = "-".join(["tables", *(f"fold-{k}" for k in only)])
    write_text(output / f"{name}.md", text)
    click.echo(text)


def _splits(fields: list[Field], test: Path | None, count: int) -> list[Split]:
    if test is not None:
        return [Split("test", fields, read_fields(test, as_authors=True))]
    held_out = folds(fields, count)
    return [
        Split(f"fold-{k + 1}", [field for field in fields if field not in part], part)
        for k, part in enumerate(held_out)
    ]


def _how(images: int, test: Path | None, count: int, only: list[int]) -> str:
    if test is not None:
        return f"trained on {images} images, scored on {test.name}"
    which = f", fold {', '.join(map(str, only))} only" if only else ""
    return f"{count}-fold cross-validation over {images} images{which}, the same folds for every row"


def _table2(bench: Bench, parts: list[Split], names: list[str], how: str, data_set: str) -> str:
    found = {}
    for name in names:
        cells = [ROWS[name](bench, part) for part in parts]
        found[name] = summary(cells)
        if name == "paper" and parts[0].name in ("fold-1", "test"):
            best = max(cells[0], key=lambda one: sum(s["dice_authors"] for s in one["scores"].values()))
            _figures(bench, parts[0], bench.output / best["run"])
    if bench.epochs is not None and "paper" in names:
        how += f"; the paper's method for {bench.epochs} epochs"
    if "scale-pretext" in names:
        how += f"; Scale Pretext for {bench.pretext_steps} steps"
    return table2(found, how, data_set)


def _data_set(fields: list[Field]) -> str:
    """Return the data set whose column of the paper is comparable: CoNSeP's labels are .mat files."""
    return "CoNSeP" if any(field.mask.suffix == ".mat" for field in fields) else "MoNuSeg"


def _table1(bench: Bench, split: Split, epochs: int) -> str:
    how = (
        f"three runs of {epochs} epochs each, Dice without clean-up on a fixed crop of each of the "
        f"{len(split.train)} training images of {split.name}, at the best epoch and channel"
    )
    tables = []
    for title, (setting, values, paper) in ABLATIONS.items():
        medians = {}
        for value in values:
            # The preset's own value is in both tables, and is run once.
            own = value == getattr(preset("paper"), setting)
            cells = fitted_cells(
                bench, split, "ablation-own" if own else f"ablation-{setting}-{value}",
                {"preset": "paper", setting: value, "epochs": epochs}, by_labels=True, repeats=3,
            )  # fmt: skip
            medians[str(value)] = [one["validation_dice"] for one in cells]
        tables.append(table1(medians, title, paper, how))
    return "\n".join(tables)


def _figures(bench: Bench, split: Split, run: Path) -> None:
    """Draw figure 3 of a run and keep its figures 1 and 4."""
    from wsiseg.network.model import load_model

    if not (run / "model.safetensors").exists():
        return
    copy_training_figures(run, bench.output)

    count = min(FIGURE_IMAGES, len(split.test))
    shown = random.Random(bench.seed).sample(list(split.test), count)

    def draw() -> dict[str, str]:
        find = finder(load_model(run), PAPER_OBJECTS, bench.device, bench.threads)
        figure3(
            bench.output / "figure3.png", shown,
            lambda field: find(field)[0], "Paper's method",
        )  # fmt: skip
        return {"drawn": "figure3.png"}

    names = [field.name for field in shown]
    made_from = {"model": load_model(run).sha256, "split": split.name, "images": names}
    cell(bench.output / "cells" / "figures" / "figure3.json", made_from, draw, bench.say)


if __name__ == "__main__":
    main()
