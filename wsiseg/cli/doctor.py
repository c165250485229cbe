"""`wsiseg doctor`."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsiseg.cli import options

if TYPE_CHECKING:
    from wsiseg.doctor.findings import Examination

_COLOURS = {"ok": "green", "note": "yellow", "bad": "red"}


@click.command()
@click.argument("slide", required=False, metavar="[SLIDE]")
@click.option(
    "-o", "--output-dir", "output", type=click.Path(path_type=Path),
    help="Output folder to check.  [default: the working folder]",
)  # fmt: skip
@options.reader_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@options.verbosity_options
@click.pass_context
def command(ctx: click.Context, slide: str | None, output: Path | None, reader: str, as_json: bool) -> None:
    """Check readers, libraries, GPU, network, cores, memory and disk; with SLIDE, how fast it can be read.

    Changes nothing, needs no internet and takes a few seconds. `note` marks what could be better, `bad` what
    will not work; the arrow says what to do. The exit code is 1 if anything is bad.
    """
    from wsiseg.doctor.examine import examine

    found = examine(slide, output, reader)
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=1))
    else:
        _show(found, only_bad=options.verbosity(ctx) < 0)
    ctx.exit(0 if found.is_well else 1)


def _show(found: Examination, only_bad: bool) -> None:
    # click itself strips colours from files and pipes.
    is_plain = bool(os.environ.get("NO_COLOR"))
    width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 120))
    if not only_bad:
        click.echo(f"wsiseg {found.wsiseg}, Python {found.python}, {found.system}")
    for each in found.findings:
        if only_bad and each.state != "bad":
            continue
        state = f"{each.state:<4}" if is_plain else click.style(f"{each.state:<4}", fg=_COLOURS[each.state])
        first, *rest = _wrapped(each.says, width)
        click.echo(f"{state}  {each.topic:<9}  {first}")
        for line in rest + ([f"-> {each.todo}"] if each.todo else []):
            click.echo(" " * 17 + line)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width - 17, break_long_words=False, break_on_hyphens=False) or [""]
