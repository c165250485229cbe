"""`wsiseg view`."""

from __future__ import annotations

from pathlib import Path

import click

from wsiseg.cli import options


@click.command()
@click.argument("store", metavar="STORE", type=click.Path(path_type=Path))
@click.option(
    "--slide", metavar="PATH",
    help="Where the slide is now, if it has moved since `predict`.  [default: its recorded path]",
)  # fmt: skip
@options.reader_option
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1; 0 picks a free one."
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@options.verbosity_options
@click.pass_context
def command(
    ctx: click.Context, store: Path, slide: str | None, reader: str, port: int, no_browser: bool
) -> None:
    """View STORE in a browser: slide, confidence, outlines, measurements.

    STORE: OUT/<name>.zarr, or OUT where it holds one slide.

    The pages are served to this machine only, at an address that cannot be guessed, until Ctrl-C.
    """
    from wsiseg.cli.stopping import EXIT_INTERRUPTED
    from wsiseg.store.finished import store_at
    from wsiseg.viewer.content import Content
    from wsiseg.viewer.serve import serve
    from wsiseg.viewer.viewed import open_viewed

    store = store_at(store)
    viewed = open_viewed(store, slide, reader)
    quiet = options.verbosity(ctx) < 0

    def say(address: str) -> None:
        if not quiet:
            for note in viewed.notes:
                click.echo(f"note: {note}", err=True)
            click.echo("Press Ctrl-C to stop the viewer. Address:", err=True)
        click.echo(address)

    try:
        serve(Content(viewed, str(store)), port, open_browser=not no_browser, say=say)
    except KeyboardInterrupt:
        if not quiet:
            click.echo("\nviewer closed", err=True)
        ctx.exit(EXIT_INTERRUPTED)
