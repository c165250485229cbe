"""`wsiseg evaluate`: predictions against labels."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsiseg.cli import options

if TYPE_CHECKING:
    from wsiseg.evaluation.evaluate import Evaluation

_COLUMNS = {
    "dice": "Dice", "aji": "AJI", "pq": "PQ", "sq": "SQ", "dq": "DQ", "f1": "F1",
    "count_true": "true", "count_predicted": "found", "count_error": "error",
}  # fmt: skip


@click.command("evaluate")
@click.argument("predictions", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("labels", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the table to this file: .csv (a row per image, then mean and sd) or .json.",
)
@options.verbosity_options
@click.pass_context
def command(
    ctx: click.Context, predictions: tuple[Path, ...], labels: Path, as_json: bool, output: Path | None
) -> None:
    """Compute Dice, AJI, PQ, F1 and counts of PREDICTIONS against LABELS, per image and on average.

    PREDICTIONS: what `wsiseg predict` wrote (its folder, .zarr, .geojson), label images or masks.
    LABELS: a folder of label files, matched by name, or one file: PNG/TIFF/NumPy masks or label images,
    MoNuSeg .xml, CoNSeP .mat, QuPath .geojson.

    F1 and PQ match nuclei with an IoU above 0.5; `error` is `|found - true| / true`.
    """
    from wsiseg.errors import UsageError
    from wsiseg.evaluation.evaluate import evaluate as run

    if output is not None and output.suffix.lower() not in (".csv", ".json"):
        raise UsageError(f"{output}: give a file ending in .csv or .json")
    if output is not None:
        from wsiseg.machine.replacing import refuse_foreign

        refuse_foreign([output], [*predictions, labels])
    result = run(predictions, labels)
    if output is not None:
        from wsiseg.evaluation.files import write_text

        write_text(output, result.to_json() if output.suffix.lower() == ".json" else result.to_csv())
    if as_json:
        click.echo(result.to_json())
    else:
        _show(result)
    for line in result.failed.values():
        click.echo(f"failed: {line}", err=True)
    if options.verbosity(ctx) >= 0:
        for line in _remarks(result):
            click.echo(line, err=True)
    ctx.exit(1 if result.failed else 0)


def _show(result: Evaluation) -> None:
    rows = [
        [image.name, *(_text(getattr(image.scores, name)) for name in _COLUMNS)] for image in result.images
    ]
    for title, summary in (("mean", result.mean), ("sd", result.sd)):
        if len(result.images) > 1:
            rows.append([title, *(_text(summary[name]) for name in _COLUMNS)])
    head = ["image", *_COLUMNS.values()]
    if not result.images:
        return
    if sys.stdout.isatty():
        _show_rich(head, rows, len(result.images))
        return
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        click.echo("  ".join([row[0].ljust(widths[0]), *cells]))


def _show_rich(head: list[str], rows: list[list[str]], images: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    for i, title in enumerate(head):
        table.add_column(title, justify="right" if i else "left", overflow="fold", no_wrap=bool(i))
    for i, row in enumerate(rows):
        table.add_row(*row, style=None if i < images else "bold", end_section=i == images - 1)
    Console().print(table)


def _text(value: float) -> str:
    return str(value) if isinstance(value, int) else "-" if value != value else f"{value:.3f}"


def _remarks(result: Evaluation) -> list[str]:
    from wsiseg.evaluation.label_matching import kind_of

    lines = []
    kinds = Counter((kind_of(image.prediction), kind_of(image.labels)) for image in result.images)
    for (found, true), count in kinds.items():
        if found != true:
            lines.append(f"compared .{found} with .{true}: {count} of {len(result.images)} images")
    masks = sum(not image.has_instances for image in result.images)
    if masks:
        lines.append(
            f"{masks} of {len(result.images)} images: a binary mask does not tell touching nuclei apart; "
            "AJI, PQ, F1 and counts there are of connected components"
        )
    for names, what in (
        (result.without_labels, "predictions without labels"),
        (result.without_prediction, "labels without a prediction"),
    ):
        if names:
            some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            lines.append(f"{len(names)} {what}, left out: {some}")
    return lines
