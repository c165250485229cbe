"""`wsiseg predict`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsiseg.cli import options

if TYPE_CHECKING:
    from wsiseg.inference.slide_report import SlideReport


@click.command()
@options.slides_argument
@options.output_option(
    None,
    "Folder of the outputs, or a URL (s3://...); finished slides in it are skipped, unfinished ones resumed.",
    urls=True,
)
@options.model_option
@options.mpp_option
@options.slide_mpp_option
@options.force_slide_mpp_option
@options.objects_options
@options.measurements_option
@options.tissue_options
@options.regions_option
@options.tile_option(2048)
@options.workers_option
@options.device_option
@options.reader_option
@options.scheduler_option
@options.overwrite_option
@click.option(
    "--only", metavar="LIST",
    help="What to keep of each slide, separated by commas: store, geojson, parquet, preview, report. For "
    "many small images: --only geojson,parquet.  [default: all]",
)  # fmt: skip
@click.option(
    "--one-table", is_flag=True, help="Write one OUT/nuclei.parquet for all slides in place of one each."
)
@click.option("--json", "as_json", is_flag=True, help="Print what became of each slide as JSON.")
@options.verbosity_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    slides: tuple[str, ...],
    output: Path | str,
    model: Path | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Find the nuclei of SLIDES: files, folders, globs, CSV lists (slide,mpp,regions) or URLs.

    Writes for each slide OUT/<name>.zarr (confidence and labels, OME-Zarr), .geojson (for QuPath), .parquet
    (one row per nucleus) and .preview.jpg, and for all of them OUT/index.html, OUT/summary.csv and
    OUT/run.json.
    """
    from wsiseg.api import predict
    from wsiseg.cli.progress import BatchProgress
    from wsiseg.network.model import load_model
    from wsiseg.slides.files import is_url

    with BatchProgress(options.verbosity(ctx)) as progress:
        reports = predict(list(slides), output, load_model(model), observer=progress, **settings)
    if options.verbosity(ctx) >= 0:
        options.name_left_out(slides)
    bad = [report for report in reports if not report.is_whole]
    if as_json:
        click.echo(json.dumps([asdict(report) for report in reports], indent=1))
    elif options.verbosity(ctx) >= 0:
        place = os.path.join(output, "index.html")
        see = f"; see {place}" if is_url(place) or os.path.isfile(place) else ""
        click.echo(f"{len(reports) - len(bad)} of {len(reports)} slides done{see}")
    for line in [*_table(bad), *(f"Warning: {text}" for text in progress.warnings)]:
        click.echo(line, err=True)
    if bad or progress.warnings:
        ctx.exit(1)


def _table(bad: Sequence[SlideReport]) -> list[str]:
    """Return what became of the slides that are not done, a line per cause."""
    from wsiseg.errors import shown

    causes: dict[tuple[str, str], list[str]] = {}
    for report in bad:
        causes.setdefault((report.state, report.cause), []).append(shown(report.path))
    width = max((len(state) for state, _ in causes), default=0)
    lines = [
        f"  {state:{width}}  {_named(paths)}: {shown(cause)}" for (state, cause), paths in causes.items()
    ]
    return ["Not done:", *lines] if lines else []


def _named(paths: Sequence[str]) -> str:
    """Return the first of the paths, and how many there are."""
    more = f" and {len(paths) - options.NAMED} more" if len(paths) > options.NAMED else ""
    return ", ".join(paths[: options.NAMED]) + more
