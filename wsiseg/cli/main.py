"""The command `wsiseg`: finds the asked-for command without loading the others, and says errors in words."""

from __future__ import annotations

import signal
import sys
import traceback
from importlib import import_module
from types import FrameType
from typing import NoReturn

import click

from wsiseg import __version__
from wsiseg.cli.compiled import keep_compiled_code
from wsiseg.cli.options import verbosity
from wsiseg.errors import UsageError, WsisegError

# Name: short help. Each lives in wsiseg.cli.<name> as `command`; nothing of it is imported for --help.
COMMANDS = {
    "fit": "Learn a network from slides, without labels.",
    "predict": "Find the nuclei of slides.",
    "evaluate": "Compare predictions with labels.",
    "info": "Say what slides are and what predict would do.",
    "export": "Write GeoJSON and Parquet again from a store.",
    "demo": "Make a slide with known nuclei and find them.",
}

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED, EXIT_TERMINATED = 1, 2, 130, 143


class Terminated(BaseException):
    """SIGTERM: stop as on Ctrl-C."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"wsiseg.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

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
            click.echo("\ninterrupted; what is done is kept, the same command goes on from there", err=True)
            ctx.exit(EXIT_INTERRUPTED)
        except Terminated:
            click.echo("terminated; what is done is kept, the same command goes on from there", err=True)
            ctx.exit(EXIT_TERMINATED)
        except BrokenPipeError:
            ctx.exit(EXIT_FAILED)
        except WsisegError as error:
            _say(ctx, str(error))
            ctx.exit(EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED)
        except Exception as error:
            _say(ctx, f"unexpected {type(error).__name__}: {error} (-vv shows where; please report it)")
            ctx.exit(EXIT_FAILED)


def _say(ctx: click.Context, message: str) -> None:
    if verbosity(ctx) >= 2:
        traceback.print_exc()
    click.echo(f"Error: {message}", err=True)


@click.group(
    cls=LazyGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "show_default": True,
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
)
@click.version_option(__version__, prog_name="wsiseg")
def cli() -> None:
    r"""Segment the nuclei of whole-slide images, learned without labels.

    \b
    wsiseg predict slide.svs -o out     nuclei with the model that ships
    wsiseg fit slides/ -o run           a model from your own slides
    wsiseg predict slides/ -m run -o out
    """


def main() -> NoReturn:
    """Run the command line and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    keep_compiled_code()
    try:
        cli(prog_name="wsiseg")
    except Terminated:
        sys.exit(EXIT_TERMINATED)
    sys.exit(0)


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated
