"""`wsiseg report`."""

from __future__ import annotations

from pathlib import Path

import click

from wsiseg.cli import options


@click.command()
@click.argument("folder", metavar="OUT_OR_RUN", type=click.Path(path_type=Path, exists=True, file_okay=False))
@options.reader_option
@options.verbosity_options
@click.pass_context
def command(ctx: click.Context, folder: Path, reader: str) -> None:
    """Rebuild the report of `wsiseg predict` (OUT/index.html) or `wsiseg fit` (RUN/report.html).

    Uses the stores and tables in the folder, without running the network. Slides are opened only for missing
    pictures; if they are gone the pages show what the stores hold.
    """
    from wsiseg.machine.marks import holds_fit

    problems: list[str] = []
    if holds_fit(folder):
        from wsiseg.report.training_run import redraw

        page = redraw(folder)
    else:
        from wsiseg.report.batch_pages import rebuild

        def told(name: str, problem: Exception | None) -> None:
            if problem is not None:
                problems.append(f"  {name}: {problem}")
            elif options.verbosity(ctx) > 0:
                click.echo(name, err=True)

        page = rebuild(folder, reader, told)
    if options.verbosity(ctx) >= 0:
        click.echo(f"see {page}")
    if problems:
        click.echo("\n".join(["Without a page:", *problems]), err=True)
        ctx.exit(1)
