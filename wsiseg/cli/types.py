"""`wsiseg types`."""

from __future__ import annotations

from pathlib import Path

import click

from wsiseg.cli import options

OUTS = click.argument(
    "outs", nargs=-1, required=True, metavar="OUT...", type=click.Path(path_type=Path, exists=True)
)
MODEL = click.option(
    "-o", "--output", "output", default="types.json", type=click.Path(path_type=Path, dir_okay=False),
    help="File of the types (JSON); change the names and colours in it as you like.",
)  # fmt: skip


@click.group()
def command() -> None:
    """Sort nuclei into types, without labels or from a few named ones."""


@command.command()
@OUTS
@click.option(
    "-k", "--types", "types", default="auto", metavar="[auto|N]",
    help="How many types; auto takes the most, up to 8, that bootstraps agree on.",
)  # fmt: skip
@options.seed_option
@MODEL
@options.verbosity_options
@click.pass_context
def fit(ctx: click.Context, outs: tuple[Path, ...], types: str, seed: int, output: Path) -> None:
    """Find types among the nuclei of OUT without labels.

    OUT: output folders of `wsiseg predict`, or single `<name>.parquet` in them.
    """
    from wsiseg.types.learn import fit_types

    if types != "auto" and not (types.isdigit() and 2 <= int(types) <= 8):
        raise click.BadParameter("give auto, or a number from 2 to 8", param_hint="-k")
    model = fit_types(_tables(outs), None if types == "auto" else int(types), seed)
    _save(model, output)
    if options.verbosity(ctx) >= 0:
        agreement = model.told["adjusted_rand_of_bootstraps"]
        said = ", ".join(f"{k}: {value:.2f}" for k, value in agreement.items())
        click.echo(f"{len(model.names)} types in {output}; adjusted Rand of bootstraps by number: {said}")


@command.command()
@OUTS
@click.option(
    "--clicks", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="CSV of named nuclei: slide, class, and id or x_l0 and y_l0.",
)  # fmt: skip
@MODEL
@options.verbosity_options
@click.pass_context
def learn(ctx: click.Context, outs: tuple[Path, ...], clicks: Path, output: Path) -> None:
    """Learn types from a few nuclei of OUT that you named."""
    from wsiseg.types.learn import SHOWN, learn_types

    model = learn_types(_tables(outs), clicks)
    _save(model, output)
    if options.verbosity(ctx) >= 0:
        said = ", ".join(f"{name} {count}" for name, count in model.told["clicks"].items())
        click.echo(f"{len(model.names)} types in {output}, from {said}")
    lost = model.told["left_out"]
    for name in lost[:SHOWN]:
        click.echo(f"{clicks}: {name} is no nucleus of these slides; left out", err=True)
    if len(lost) > SHOWN:
        click.echo(f"{clicks}: {len(lost) - SHOWN} more are none; all are listed in {output}", err=True)


@command.command()
@OUTS
@click.option(
    "-t", "--types", "model", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File that `wsiseg types fit` or `learn` wrote.",
)  # fmt: skip
@options.verbosity_options
@click.pass_context
def apply(ctx: click.Context, outs: tuple[Path, ...], model: Path) -> None:
    """Give every nucleus of OUT its type, in Parquet and GeoJSON.

    `wsiseg report OUT` then shows how many there are of each.
    """
    from wsiseg.types.apply import apply_types
    from wsiseg.types.model import load_types

    types = load_types(model)
    for table in _tables(outs):
        counts = apply_types(table, types)
        if options.verbosity(ctx) >= 0:
            said = ", ".join(f"{name} {count:,}" for name, count in counts.items())
            click.echo(f"{table.stem}: {said}")


def _tables(outs: tuple[Path, ...]) -> list[Path]:
    """Return the Parquet files that are meant."""
    from wsiseg.errors import UsageError
    from wsiseg.machine.marks import is_ours

    found: list[Path] = []
    for out in outs:
        files = sorted(out.glob("*.parquet")) if out.is_dir() else [out]
        files = [file for file in files if is_ours(file) and file.with_suffix(".zarr").is_dir()]
        if not files:
            raise UsageError(f"{out}: no tables of finished slides; give OUT of `wsiseg predict -o OUT`")
        found += files
    return found


def _save(model: object, output: Path) -> None:
    import json

    from wsiseg.errors import UsageError
    from wsiseg.types.model import TypesModel

    assert isinstance(model, TypesModel)
    if output.exists():
        try:
            is_types = "wsiseg_types" in json.loads(output.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError):
            is_types = False
        if not is_types:
            raise UsageError(f"{output}: is there, and is no file of types; choose another name")
    model.save(output)
