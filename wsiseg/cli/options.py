"""Options that several commands share, each declared once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]

# How many files of one cause are named one by one.
NAMED = 10
_VERBOSITY = "wsiseg.verbosity"


def verbosity(ctx: click.Context) -> int:
    """Return how much is printed: -1 quiet, 0 normal, 1 -v, 2 -vv."""
    return int(ctx.find_root().meta.get(_VERBOSITY, 0))


def _set_verbosity(ctx: click.Context, parameter: click.Parameter, value: int | bool) -> None:
    if value:
        ctx.find_root().meta[_VERBOSITY] = -1 if parameter.name == "quiet" else int(value)


def verbosity_options(function: F) -> F:
    """Add -v and -q."""
    function = click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=_set_verbosity, help="Print errors only."
    )(function)
    return click.option(
        "-v", "--verbose", count=True, show_default=False, expose_value=False, callback=_set_verbosity,
        help="Print more; -vv adds tracebacks.",
    )(function)  # fmt: skip


slides_argument = click.argument("slides", nargs=-1, required=True, metavar="SLIDES...")
optional_slides_argument = click.argument("slides", nargs=-1, metavar="SLIDES...")


class OutputPlace(click.Path):
    """A folder, or a URL in an object store, which stays text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check what was given; raise a usage error for an unknown device."""
        return value if isinstance(value, str) and "://" in value else super().convert(value, param, ctx)


def output_option(default: str | None, text: str, urls: bool = False) -> Decorator[Any]:
    """Add -o/--output-dir."""
    # With an explicit default of None click would not require the option.
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
    help="Run folder or model file written by `wsiseg fit`, or `large`: a shipped model that takes longer "
    "and finds more.  [default: the small shipped model]",
)  # fmt: skip
mpp_option = click.option(
    "--mpp", type=click.FloatRange(0.05, 20), metavar="UM",
    help="Resolution at which the network runs, in micrometres per pixel.  [default: the model's]",
)  # fmt: skip
slide_mpp_option = click.option(
    "--slide-mpp", type=click.FloatRange(0.01, 20), metavar="UM",
    help="Micrometres per pixel of slides that do not record it (usually 0.25 at 40x); a CSV list can give "
    "it per slide.",
)  # fmt: skip
force_slide_mpp_option = click.option(
    "--force-slide-mpp", is_flag=True,
    help="Use --slide-mpp, or the list's value, even for slides that record another one.",
)  # fmt: skip
reader_option = click.option(
    "--reader", type=click.Choice(["auto", "openslide", "tiffslide", "image"]), default="auto",
    help="Library that opens the slides; auto tries them in this order.",
)  # fmt: skip
device_option = click.option(
    "-d", "--device", default="auto", metavar="[auto|cpu|cuda|cuda:N|mps]", help="Where the network runs."
)
workers_option = click.option(
    "-w",
    "--workers",
    "--num-workers",
    type=click.IntRange(1),
    help="Parts of a slide computed at the same time, one thread each.  [default: all cores]",
)


def name_left_out(slides: Sequence[str]) -> None:
    """Print which files of folders are skipped because they are not slides."""
    from wsiseg.errors import shown
    from wsiseg.slides.expand import left_out

    names = left_out(slides)
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        click.echo(f"Not slides: {', '.join(map(shown, names[:NAMED]))}{more}", err=True)


def tile_option(default_px: int) -> Decorator[Any]:
    """Add --tile-size."""
    return click.option(
        "--tile-size", type=click.IntRange(64), default=default_px, metavar="PX",
        help="Side of the tiles in which nuclei are found; affects memory, never the result.",
    )  # fmt: skip


scheduler_option = click.option(
    "--scheduler", metavar="ADDRESS", help="Address of a running Dask scheduler, such as tcp://host:8786."
)
overwrite_option = click.option(
    "--overwrite",
    is_flag=True,
    help="Recompute finished slides and replace outputs made with other settings.",
)  # fmt: skip
seed_option = click.option("--seed", type=click.IntRange(0), default=0, help="Random seed.")


regions_option = click.option(
    "--regions", type=click.Path(path_type=Path, exists=True), metavar="FILE|FOLDER",
    help="Compute only what lies in these regions, and count nuclei in each: GeoJSON with names and classes, "
    "as QuPath exports annotations (level-0 pixels); a folder has one <name>.geojson for each slide.",
)  # fmt: skip


def tissue_options(function: F) -> F:
    """Add --tissue-mask, --no-tissue and --accept-odd."""
    function = click.option(
        "--accept-odd", is_flag=True,
        help="Process slides that would be refused: those that do not look like H&E (fluorescence, inverted) "
        "or lack their original level.",
    )(function)  # fmt: skip
    function = click.option(
        "--tissue-mask", type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="Tissue mask to use instead of detecting tissue: PNG (non-zero) or GeoJSON (level-0 pixels).",
    )(function)  # fmt: skip
    return click.option(
        "--no-tissue", is_flag=True, help="Process the whole slide, without detecting tissue."
    )(function)


measurements_option = click.option(
    "--measurements", type=click.Choice(["basic", "all"]), default="basic",
    help="all adds stain and grey level in detail, texture and neighbours to the Parquet file, and three "
    "images to the store.",
)  # fmt: skip


def objects_options(function: F) -> F:
    """Add the options that turn confidence into nuclei and write them."""
    return _objects_options(function, 7.5, 0.45, 0.125, threshold="chosen for each slide")


def stored_objects_options(function: F) -> F:
    """Add the same options, with the store's settings as their defaults."""
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
        help="Write at most N nuclei per GeoJSON file, in numbered parts.",
    )(function)  # fmt: skip
    function = click.option(
        "--origin", type=click.Choice(["slide", "scan"]), default="slide",
        help="Corner from which coordinates in GeoJSON count: the slide's, or its scan's, as in QuPath. They "
        "differ where the scan covers only a part of the slide.",
    )(function)  # fmt: skip
    function = click.option("--gzip", is_flag=True, help="Compress the GeoJSON (.geojson.gz).")(function)
    function = click.option(
        "--simplify", type=click.FloatRange(0, 5), default=simplify_um, metavar="UM",
        help="How far a simplified outline may deviate from the exact one, in micrometres; 0 keeps every "
        f"pixel corner.{otherwise}",
    )(function)  # fmt: skip
    function = click.option("--no-splitting", is_flag=True, help="Do not split touching nuclei.")(function)
    function = click.option(
        "--certainty", type=click.FloatRange(0, 1), default=certainty,
        help="Drop nuclei whose mean confidence is closer to the threshold than this, from 0 (the threshold) "
        f"to 1 (full confidence); small nuclei need more, large ones less. 0 keeps all.{otherwise}",
    )(function)  # fmt: skip
    function = click.option(
        "--min-area", type=click.FloatRange(0), default=min_area_um2, metavar="UM2",
        help=f"Drop nuclei smaller than this, in square micrometres.{otherwise}",
    )(function)  # fmt: skip
    return click.option(
        "--threshold", type=click.FloatRange(0, 1, min_open=True, max_open=True),
        help=f"Minimum confidence of a nucleus pixel.  [default: {threshold}]",
    )(function)  # fmt: skip
