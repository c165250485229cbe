"""`wsiseg demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsiseg.cli import options
from wsiseg.command_text import command_line
from wsiseg.machine.marks import PREVIEW

if TYPE_CHECKING:
    from wsiseg.synthetic import SyntheticSlide

WIDTH_PX, HEIGHT_PX = 4000, 3000


@click.command()
@options.output_option("wsiseg-demo", "Folder of the slide and of what predict leaves.")
@options.seed_option
@options.workers_option
@options.device_option
@options.verbosity_options
@click.pass_context
def command(ctx: click.Context, output: Path, seed: int, workers: int | None, device: str) -> None:
    """Make a slide whose nuclei are known, find them with the model that ships, and compare.

    Needs no file and no internet.
    """
    from wsiseg.api import predict
    from wsiseg.cli.progress import BatchProgress
    from wsiseg.config import PredictConfig
    from wsiseg.errors import WsisegError
    from wsiseg.machine.replacing import refuse_foreign
    from wsiseg.synthetic import SyntheticSlide, write_synthetic

    path = output / f"synthetic-{seed}.svs"
    refuse_foreign([path])
    output.mkdir(parents=True, exist_ok=True)
    slide = SyntheticSlide(WIDTH_PX, HEIGHT_PX, seed=seed)
    say = options.verbosity(ctx) >= 0
    if say:
        click.echo(f"making {path}: {WIDTH_PX} x {HEIGHT_PX} px at {slide.mpp} um per pixel")
    write_synthetic(path, slide, workers=workers)
    config = PredictConfig(workers=workers, device=device, overwrite=True)
    with BatchProgress(options.verbosity(ctx)) as progress:
        (report,) = predict(path, output, config=config, observer=progress)
    if not report.is_whole:
        raise WsisegError(f"{path}: {report.cause}")
    if say:
        click.echo(_comparison(slide, output / f"{path.stem}.zarr"))
        click.echo(_where_to_look(output, path))


def _comparison(slide: SyntheticSlide, store: Path) -> str:
    """Return how what was found compares with what was drawn."""
    from wsiseg.evaluation.labels import read_labels
    from wsiseg.evaluation.metrics import score

    predicted = read_labels(store, (slide.height, slide.width))
    found = score(slide.truth(slide.frame), predicted)
    return (
        f"\n{found.count_true:,} nuclei were drawn, {found.count_predicted:,} were found: "
        f"F1 (IoU > 0.5) {found.f1:.3f}, Dice {found.dice:.3f}, AJI {found.aji:.3f}, PQ {found.pq:.3f}\n"
    )


def _where_to_look(output: Path, path: Path) -> str:
    store = output / f"{path.stem}.zarr"
    return "\n".join(
        [
            f"slide     {path}",
            f"report    {output / 'index.html'}   (open it in a browser)",
            f"viewer    {command_line('wsiseg', 'view', store)}",
            f"preview   {store.with_suffix(PREVIEW)}",
            f"polygons  {store.with_suffix('.geojson')}   (drag slide and polygons into QuPath)",
            f"table     {store.with_suffix('.parquet')}",
            f"store     {store}   (confidence and labels, OME-Zarr 0.5)",
            f"summary   {output / 'summary.csv'}",
        ]
    )
