"""The command `wsiseg`: imports only the command that runs, and prints errors in one line."""

from __future__ import annotations

import sys
import traceback
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

import click

from wsiseg import __version__
from wsiseg.cli.compiled import keep_compiled_code
from wsiseg.cli.options import verbosity
from wsiseg.cli.stopping import EXIT_INTERRUPTED, EXIT_TERMINATED, Stopping, Terminated, last_words
from wsiseg.errors import UsageError, WsisegError, shown

# Name: short help. Each lives in wsiseg.cli.<name> as `command`; nothing of it is imported for --help.
COMMANDS = {
    "fit": "Train a network on slides, without labels.",
    "predict": "Segment the nuclei of slides.",
    "evaluate": "Compare predictions with labels.",
    "info": "Describe slides and what predict would do.",
    "view": "View a slide and its nuclei in a browser.",
    "report": "Rebuild the report of an output folder.",
    "export": "Rewrite GeoJSON and Parquet from a store.",
    "types": "Sort nuclei into types.",
    "demo": "Generate a slide with known nuclei and segment it.",
    "doctor": "Check what works on this machine and how to fix the rest.",
}

EXIT_FAILED, EXIT_USAGE = 1, 2


class LazyGroup(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"wsiseg.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; one that is not there brings the nearest that is."""
        near = get_close_matches(args[0], COMMANDS, 1)
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if not near:
                raise
            raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near[0]!r}?", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; errors become a line and an exit code."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort):
            _stop(ctx, EXIT_INTERRUPTED)
        except Terminated:
            _stop(ctx, EXIT_TERMINATED)
        except BrokenPipeError:
            ctx.exit(EXIT_FAILED)
        except WsisegError as error:
            _say(ctx, str(error))
            ctx.exit(EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED)
        except Exception as error:
            if isinstance(ctx.obj, Stopping) and ctx.obj.code:
                # A library turned what the signal raised into another exception.
                _stop(ctx, ctx.obj.code)
            _say(ctx, f"unexpected {type(error).__name__}: {error} (see -vv; please report it)")
            ctx.exit(EXIT_FAILED)


def _stop(ctx: click.Context, code: int) -> NoReturn:
    click.echo(f"\n{last_words(code, ctx.invoked_subcommand)}", err=True)
    ctx.exit(code)


def _say(ctx: click.Context, message: str) -> None:
    if verbosity(ctx) >= 2:
        traceback.print_exc()
    click.echo("Error: " + "\n".join(shown(line) for line in message.split("\n")), err=True)


# \b keeps click from joining the lines.
HELP = """Segment the nuclei of whole-slide images, learned without labels.

\b
wsiseg predict slide.svs -o out        segment with the shipped model
wsiseg fit slides/ -o run              train a model on your own slides
wsiseg predict slides/ -m run -o out   segment with that model
"""


@click.group(
    cls=LazyGroup,
    help=HELP,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "show_default": True,
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
)
@click.version_option(__version__, prog_name="wsiseg")
def cli() -> None:
    """Segment the nuclei of whole-slide images, learned without labels."""


def main(stopping: Stopping) -> NoReturn:
    """Run the command line and exit."""
    keep_compiled_code()
    cli(prog_name="wsiseg", obj=stopping)
    sys.exit(0)
