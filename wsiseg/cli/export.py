"""`wsiseg export`."""

from __future__ import annotations

from pathlib import Path

import click

from wsiseg.cli import options


@click.command()
@click.argument("stores", nargs=-1, required=True, metavar="STORES...", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output-dir", "output", type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the files.  [default: beside the store]",
)  # fmt: skip
@options.stored_objects_options
@options.tile_option(1024)
@options.workers_option
@options.verbosity_options
@click.pass_context
def command(
    ctx: click.Context,
    stores: tuple[Path, ...],
    output: Path | None,
    threshold: float | None,
    min_area: float | None,
    certainty: float | None,
    no_splitting: bool,
    simplify: float | None,
    gzip: bool,
    split: int | None,
    origin: str,
    tile_size: int,
    workers: int | None,
) -> None:
    """Write GeoJSON and Parquet from STORES, with other settings, without running the network.

    STORES: OUT/<name>.zarr, or OUT where it holds one slide.
    """
    from dataclasses import replace
    from typing import Any

    from wsiseg.config import PredictConfig
    from wsiseg.errors import WsisegError
    from wsiseg.inference.export import export, stored_objects
    from wsiseg.store.finished import open_finished, store_at

    asked: dict[str, Any] = {
        "threshold": threshold, "min_area_um2": min_area, "certainty": certainty, "simplify_um": simplify,
    }  # fmt: skip
    given = {key: value for key, value in asked.items() if value is not None}
    if no_splitting:
        given["split"] = False
    config = PredictConfig(tile_px=tile_size, workers=workers, gzip=gzip, split=split, origin=origin)
    failed = False
    for store in map(store_at, stores):
        try:
            objects = replace(stored_objects(open_finished(store)), **given)
            done = export(store, output, replace(config, objects=objects))
        except WsisegError as error:
            click.echo(f"Error: {error}", err=True)
            failed = True
            continue
        if options.verbosity(ctx) >= 0:
            click.echo(f"{done.nuclei:,} nuclei: {', '.join(map(str, (*done.geojson, done.parquet)))}")
    if failed:
        ctx.exit(1)
