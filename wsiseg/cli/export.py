"""`wsiseg export`."""

from __future__ import annotations

from pathlib import Path

import click

from wsiseg.cli import options


@click.command()
@click.argument("stores", nargs=-1, required=True, metavar="STORES...", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output-dir", "output", type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the files.  [default: beside the store; files of that name are replaced]",
)  # fmt: skip
@options.objects_options
@options.tile_option
@options.workers_option
@options.verbosity_options
@click.pass_context
def command(
    ctx: click.Context,
    stores: tuple[Path, ...],
    output: Path | None,
    threshold: float | None,
    min_area: float,
    no_splitting: bool,
    simplify: float,
    gzip: bool,
    split: int | None,
    tile_size: int,
    workers: int | None,
) -> None:
    """Write GeoJSON and Parquet again from STORES (OUT/<name>.zarr), with other settings, without the network."""
    from wsiseg.config import ObjectsConfig, PredictConfig
    from wsiseg.errors import WsisegError
    from wsiseg.inference.export import export

    objects = ObjectsConfig(
        threshold=threshold, min_area_um2=min_area, split=not no_splitting, simplify_um=simplify
    )
    config = PredictConfig(objects=objects, tile_px=tile_size, workers=workers, gzip=gzip, split=split)
    failed = False
    for store in stores:
        try:
            done = export(store, output, config)
        except WsisegError as error:
            click.echo(f"Error: {error}", err=True)
            failed = True
            continue
        if options.verbosity(ctx) >= 0:
            click.echo(f"{done.nuclei:,} nuclei: {done.geojson}, {done.parquet}")
    if failed:
        ctx.exit(1)
