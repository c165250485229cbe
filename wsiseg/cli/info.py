"""`wsiseg info`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsiseg.cli import options
from wsiseg.errors import shown

if TYPE_CHECKING:
    from wsiseg.inference.survey import SlideSurvey


@click.command()
@options.slides_argument
@options.model_option
@options.mpp_option
@options.slide_mpp_option
@options.force_slide_mpp_option
@options.tissue_options
@options.workers_option
@options.device_option
@options.reader_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@options.verbosity_options
@click.pass_context
def command(
    ctx: click.Context,
    slides: tuple[str, ...],
    model: Path | None,
    mpp: float | None,
    slide_mpp: float | None,
    force_slide_mpp: bool,
    tissue_mask: Path | None,
    no_tissue: bool,
    accept_odd: bool,
    workers: int | None,
    device: str,
    reader: str,
    as_json: bool,
) -> None:
    """Describe SLIDES: reader, size, levels, mpp, tissue, and how long predict may take."""
    from dataclasses import asdict

    from wsiseg.config import TissueConfig, changed_tissue
    from wsiseg.inference.survey import measure_speed, survey
    from wsiseg.machine.cores import available_cores
    from wsiseg.network.engine import make_engine
    from wsiseg.network.model import load_model
    from wsiseg.slides.expand import expand

    threads = workers or available_cores()
    loaded = load_model(model)
    sources = expand(list(slides), slide_mpp, force_slide_mpp)
    speed = measure_speed(make_engine(loaded, device), threads)
    tissue = changed_tissue(TissueConfig(), tissue_mask, no_tissue, accept_odd=accept_odd)
    surveys = [survey(source, mpp or loaded.info.mpp, speed, tissue, reader) for source in sources]
    if as_json:
        click.echo(json.dumps([asdict(each) for each in surveys], indent=1))
    else:
        click.echo("\n\n".join(_text(each) for each in surveys))
        options.name_left_out(slides)
    if any(each.error for each in surveys):
        ctx.exit(1)


def _text(found: SlideSurvey) -> str:
    from wsiseg.report.page import duration

    lines = [shown(found.path)]
    if found.reader is not None:
        lines.append(f"  reader   {found.reader}")
        lines.append(f"  size     {found.width_l0:,} x {found.height_l0:,} px")
        for number, (width, height, downsample) in enumerate(found.levels or []):
            lines.append(f"  level {number}  {width:,} x {height:,} px, downsample {downsample:g}")
        lines.append(
            f"  mpp      {found.mpp:.4f} um per pixel, from {found.mpp_from}"
            if found.mpp
            else "  mpp      not recorded in the slide"
        )
        lines += [f"           {shown(statement)}" for statement in found.statements]
        if found.bounds is not None:
            x, y, width, height = found.bounds
            lines.append(
                f"  scan     {width:,} x {height:,} px from x {x:,}, y {y:,}: QuPath shows only this part"
            )
    if found.megapixels is not None:
        lines.append(f"  tissue   {found.tissue_share:.0%} of the slide, {found.tissue_mm2:.2f} mm2")
        lines.append(
            f"  predict  {found.megapixels:,.1f} MP at {found.network_mpp:g} um per pixel, "
            f"about {duration(max(1, round(found.seconds or 0)))}"
        )
    lines += [f"  warning  {warning}" for warning in found.warnings]
    if found.error is not None:
        lines.append(f"  error    {shown(found.error)}")
    return "\n".join(lines)
