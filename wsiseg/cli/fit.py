"""`wsiseg fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from wsiseg.cli import options
from wsiseg.command_text import command_line
from wsiseg.training.config import INTER, SAMPLERS, SIMILARITIES
from wsiseg.training.presets import PRESETS


@click.command()
@options.optional_slides_argument
@options.output_option(None, "The run folder; a run in it with the same settings and slides is resumed.")
@click.option(
    "--preset", type=click.Choice(list(PRESETS)), default="default",
    help="default: the large model fitted to the slides, the most accurate; small: 7,372 parameters, three "
    "times as fast in predict; paper: Boserup & Selvan (2023) as published.",
)  # fmt: skip
@click.option(
    "--repeats",
    type=click.IntRange(1, 1000),
    help="Number of networks to train; one is chosen.  [default: the preset's]",
)
@click.option(
    "--epochs", type=click.IntRange(1), help="Maximum passes over the images.  [default: the preset's]"
)
@click.option(
    "-b", "--batch-size", type=click.IntRange(1, 1024), help="Crops per step.  [default: the preset's]"
)
@click.option(
    "--similarity", type=click.Choice(SIMILARITIES),
    help="How patches are compared.  [default: the preset's]",
)  # fmt: skip
@click.option(
    "--inter", type=click.Choice(INTER),
    help="Loss between classes: log (authors' code) or ratio (paper, eq. 8).  [default: the preset's]",
)  # fmt: skip
@click.option(
    "--sampler", type=click.Choice(SAMPLERS),
    help="How patches are drawn; the others are for comparison with entropy.  [default: the preset's]",
)  # fmt: skip
@click.option(
    "--anchors", type=click.IntRange(0), metavar="N",
    help="Positive patches that stand for all in the losses (authors' code: 10); 0: all pairs, divided by "
    "the square of their number (paper, eq. 7).  [default: the preset's]",
)  # fmt: skip
@click.option(
    "--no-invert", is_flag=True,
    help="Never take a channel that shows nuclei where it is low, as in the paper.",
)  # fmt: skip
@click.option(
    "--labels", type=click.Path(path_type=Path, exists=True), metavar="DIR",
    help="Labels matched by name. They never train: they choose epoch, channel and repeat, as in the paper. "
    "Without labels, agreement with the haematoxylin stain chooses.",
)  # fmt: skip
@click.option(
    "--label-images", type=click.Path(path_type=Path, exists=True), metavar="PATH",
    help="Images of the labels, where they are not those of SLIDES: train on slides, choose by fields.",
)  # fmt: skip
@click.option(
    "--select", metavar="REPEAT:CHANNEL",
    help="Use this repeat (from 1; 0 is the consensus) and channel (from 0) for the model; also later, "
    "without SLIDES.",
)  # fmt: skip
@click.option(
    "--prior", metavar="MODEL",
    help="Model to start from and to learn from; `none` for no model (preset small).  "
    "[default: the model that ships]",
)  # fmt: skip
@click.option(
    "--mpp", type=click.FloatRange(0.05, 20), metavar="UM",
    help="Resolution at which the network is trained, micrometres per pixel.  [default: the preset's]",
)  # fmt: skip
@options.slide_mpp_option
@options.force_slide_mpp_option
@options.tissue_options
@options.seed_option
@click.option(
    "--max-minutes", type=click.FloatRange(0, min_open=True), metavar="MIN",
    help="Start no new epoch after MIN minutes. The result then depends on the machine's speed.",
)  # fmt: skip
@click.option(
    "-w", "--workers", "--num-workers", type=click.IntRange(1),
    help="Threads that read crops ahead; no influence on the result.  [default: up to 4]",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(1),
    help="CPU threads for training; the same number gives the same bytes. So small a network gains "
    "little from more.  [default: 1]",
)  # fmt: skip
@click.option(
    "-j", "--jobs", type=click.IntRange(1),
    help="Repeats trained side by side; no influence on the result.  [default: as many as cores and memory "
    "have room for]",
)  # fmt: skip
@options.device_option
@options.reader_option
@options.overwrite_option
@options.verbosity_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    slides: tuple[str, ...],
    output: Path,
    labels: Path | None,
    label_images: Path | None,
    slide_mpp: float | None,
    force_slide_mpp: bool,
    **settings: Any,
) -> None:
    """Learn a network from SLIDES, without labels: files, folders, globs, CSV lists (slide,mpp) or URLs.

    Writes RUN/model.safetensors for `wsiseg predict -m RUN`, the scores of every repeat, epoch and channel in
    RUN/metrics.csv, and RUN/report.html, which shows the chosen network and the others; --select chooses
    another one. Repeat the command to resume an interrupted run.
    """
    if not slides:
        _select_later(output, settings["select"])
        return
    from wsiseg.api import fit
    from wsiseg.cli.fit_progress import FitProgress
    from wsiseg.training.fit_config import fit_config

    config = fit_config(**settings)
    training = config.training
    with FitProgress(
        training.repeats, training.epochs, training.consensus_epochs, options.verbosity(ctx)
    ) as progress:
        result = fit(
            list(slides),
            output,
            labels,
            slide_mpp=slide_mpp,
            force_slide_mpp=force_slide_mpp,
            label_images=label_images,
            config=config,
            observer=progress,
        )
    if options.verbosity(ctx) >= 0:
        if result.comparison is not None:
            click.echo(result.comparison)
        click.echo(f"model: {result.choice}")
        use = command_line("wsiseg", "predict", "SLIDES", "-m", output, "-o", "OUT")
        click.echo(f"see {output / 'report.html'}; use it: {use}")
    if result.failures:
        click.echo("Left out:", err=True)
        for failure in result.failures:
            click.echo(f"  {failure}", err=True)
        ctx.exit(1)


def _select_later(output: Path, select: str | None) -> None:
    from wsiseg.errors import UsageError

    if select is None:
        raise UsageError(
            "no slides given; to change the choice in a finished run give --select REPEAT:CHANNEL"
        )
    from wsiseg.api import reselect

    choice = reselect(output, select)
    click.echo(f"model: {choice}")
