"""Options that several commands share, each declared once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]

# Files that are named one by one where many are left out.
NAMED = 10
_VERBOSITY = "wsiseg.verbosity"


def verbosity(ctx: click.Context) -> int:
    """Return how much is said: -1 quiet, 0 normal, 1 -v, 2 -vv."""
    return int(ctx.find_root().meta.get(_VERBOSITY, 0))


def _set_verbosity(ctx: click.Context, parameter: click.Parameter, value: int | bool) -> None:
    if value:
        ctx.find_root().meta[_VERBOSITY] = -1 if parameter.name == "quiet" else int(value)


def verbosity_options(function: F) -> F:
    """Add -v and -q."""
    function = click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=_set_verbosity, help="Say errors only."
    )(function)
    return click.option(
        "-v", "--verbose", count=True, show_default=False, expose_value=False, callback=_set_verbosity,
        help="Say more; -vv shows where an error came from.",
    )(function)  # fmt: skip


slides_argument = click.argument("slides", nargs=-1, required=True, metavar="SLIDES...")
optional_slides_argument = click.argument("slides", nargs=-1, metavar="SLIDES...")


class OutputPlace(click.Path):
    """A folder, or the URL of a place in an object store, which stays text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType.convert`."""
        return value if isinstance(value, str) and "://" in value else super().convert(value, param, ctx)


def output_option(default: str | None, text: str, urls: bool = False) -> Decorator[Any]:
    """Add -o/--output-dir."""
    # click takes an explicit default of None for an answer, and would not ask.
    otherwise: dict[str, Any] = {"required": True} if default is None else {"default": default}
    return click.option(
        "-o",
        "--output-dir",
        "output",
        type=(OutputPlace if urls else click.Path)(path_type=Path, file_okay=False),
        help=text,
        **otherwise,
    )


model_option = click.option(
    "-m", "--model", type=click.Path(path_type=Path),
    help="Run folder or model file of `wsiseg fit`. Left out: the model that ships with wsiseg.",
)  # fmt: skip
mpp_option = click.option(
    "--mpp", type=click.FloatRange(0.05, 20), metavar="UM",
    help="Resolution at which the network works, micrometres per pixel.  [default: the model's]",
)  # fmt: skip
slide_mpp_option = click.option(
    "--slide-mpp", type=click.FloatRange(0.01, 20), metavar="UM",
    help="Micrometres per pixel of slides that do not say it (0.25 is usual for 40x); a CSV list can give it "
    "for each slide.",
)  # fmt: skip
force_slide_mpp_option = click.option(
    "--force-slide-mpp", is_flag=True,
    help="Take --slide-mpp, or the list's, even for slides that say something else.",
)  # fmt: skip
reader_option = click.option(
    "--reader", type=click.Choice(["auto", "openslide", "tiffslide", "image"]), default="auto",
    help="Which library opens the slides; auto tries them in this order.",
)  # fmt: skip
device_option = click.option(
    "-d", "--device", default="auto", metavar="[auto|cpu|cuda|cuda:N|mps]", help="Where the network runs."
)
workers_option = click.option(
    "-w",
    "--workers",
    "--num-workers",
    type=click.IntRange(1),
    help="Slide parts computed at a time, a thread each.  [default: the machine's cores]",
)


def name_left_out(slides: Sequence[str]) -> None:
    """Say on the terminal which files of folders are taken for no slides."""
    from wsiseg.errors import shown
    from wsiseg.slides.sources import left_out

    names = left_out(slides)
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        click.echo(f"Not slides: {', '.join(map(shown, names[:NAMED]))}{more}", err=True)


def tile_option(default_px: int) -> Decorator[Any]:
    """Add --tile-size."""
    return click.option(
        "--tile-size", type=click.IntRange(64), default=default_px, metavar="PX",
        help="Side of the tiles in which nuclei are found; changes memory, never the result.",
    )  # fmt: skip


scheduler_option = click.option(
    "--scheduler", metavar="ADDRESS", help="A running Dask scheduler, such as tcp://host:8786."
)
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Do again what is done, and replace outputs of other settings."
)
seed_option = click.option("--seed", type=click.IntRange(0), default=0, help="Seed of everything random.")


def tissue_options(function: F) -> F:
    """Add --tissue-mask and --no-tissue."""
    function = click.option(
        "--tissue-mask", type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="Where the tissue is, instead of looking for it: PNG (non-zero) or GeoJSON (level-0 pixels).",
    )(function)  # fmt: skip
    return click.option(
        "--no-tissue", is_flag=True, help="Take the whole slide, without looking for tissue."
    )(function)


def objects_options(function: F) -> F:
    """Add the settings with which confidence becomes nuclei, and how they are written."""
    return _objects_options(function, 7.5, 0.45, 0.125, threshold="chosen for each slide")


def stored_objects_options(function: F) -> F:
    """Add the same settings, which are the store's where they are left out."""
    return _objects_options(function, None, None, None, threshold="the store's")


def _objects_options(
    function: F,
    min_area_um2: float | None,
    certainty: float | None,
    simplify_um: float | None,
    threshold: str,
) -> F:
    otherwise = "  [default: the store's]" if min_area_um2 is None else ""
    function = click.option(
        "--split", type=click.IntRange(1), metavar="N",
        help="At most N nuclei in one GeoJSON file; more go into further parts.",
    )(function)  # fmt: skip
    function = click.option("--gzip", is_flag=True, help="Write .geojson.gz.")(function)
    function = click.option(
        "--simplify", type=click.FloatRange(0, 5), default=simplify_um, metavar="UM",
        help="How far an outline may lie from the exact one, in micrometres; 0 keeps every pixel "
        f"corner.{otherwise}",
    )(function)  # fmt: skip
    function = click.option("--no-splitting", is_flag=True, help="Leave touching nuclei in one piece.")(
        function
    )
    function = click.option(
        "--certainty", type=click.FloatRange(0, 1), default=certainty,
        help="Drop nuclei whose mean confidence lies nearer to the threshold than this (0 the threshold, 1 "
        f"full confidence; small ones need more, large ones less); 0 keeps all.{otherwise}",
    )(function)  # fmt: skip
    function = click.option(
        "--min-area", type=click.FloatRange(0), default=min_area_um2, metavar="UM2",
        help=f"Drop nuclei of a smaller area, in square micrometres.{otherwise}",
    )(function)  # fmt: skip
    return click.option(
        "--threshold", type=click.FloatRange(0, 1, min_open=True, max_open=True),
        help=f"Confidence from which a pixel is nucleus.  [default: {threshold}]",
    )(function)  # fmt: skip
