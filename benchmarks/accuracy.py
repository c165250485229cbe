"""How good models are on sets of labelled images, by the way of `predict`, beside the script of twenty lines.

    python benchmarks/accuracy.py DATA... [-m MODEL]... [--mosaic] [-o OUT]

Each DATA is a folder in the layout of MoNuSeg or CoNSeP; each MODEL a model file, a run folder, or the name
of a model that ships (default, large), else the default one. Confidence is computed by the engine of
`predict` at the model's resolution, nuclei are found by its object stage, and both are scored in the pixels
of the image. With --mosaic the images of a set are put together as one slide, which is what the tool is
for, and taken apart again to be scored. Where there are several methods, their differences to the first
have 95 % intervals: a paired bootstrap over images.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from harness.fields import Field, read_fields
from harness.files import write_text
from harness.mosaic import apart, put_together
from harness.network import finder

from wsiseg.config import ObjectsConfig
from wsiseg.errors import WsisegError

Method = Callable[[Field], npt.NDArray[np.int32]]
Scores = dict[str, dict[str, float]]
MEASURES = ("dice", "aji", "pq", "sq", "dq", "count_error")
RESAMPLES = 10_000


@click.command()
@click.argument(
    "data", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "-m",
    "--model",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Model file, run folder, or a model that ships: default, large.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Also write JSON here.")
@click.option("--mosaic", is_flag=True, help="Put the images of a set together as one slide.")
@click.option("--threshold", type=float, help="Confidence of a nucleus.  [default: the model's]")
@click.option("--certainty", default=ObjectsConfig().certainty, show_default=True, help="0 keeps all nuclei.")
@click.option("--script/--no-script", default=True, show_default=True, help="Also score the script.")
@click.option("--device", default="auto", show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(
    data: tuple[Path, ...],
    model: tuple[Path, ...],
    output: Path | None,
    mosaic: bool,
    threshold: float | None,
    certainty: float,
    script: bool,
    device: str,
    threads: int,
) -> None:
    """Score models on the labelled images of each DATA."""
    from harness.baselines import script_nuclei

    from wsiseg.network.model import load_model

    try:
        config = ObjectsConfig(threshold=threshold, certainty=certainty)
        loaded = {str(path): load_model(path) for path in model} or {"wsiseg": load_model(None)}
        methods: dict[str, Method] = {
            name: nuclei_of(finder(each, config, device, threads)) for name, each in loaded.items()
        }
        if script:
            methods["script"] = lambda field: script_nuclei(field.rgb)
        sets = {}
        for folder in data:
            fields = read_fields(folder)
            sets[str(folder)] = {name: measure(fields, method, mosaic) for name, method in methods.items()}
    except WsisegError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    for line in table(sets):
        click.echo(line)
    if output is not None:
        models = {name: {"model": each.sha256, "mpp": each.info.mpp} for name, each in loaded.items()}
        write_text(output, json.dumps({"models": models, "mosaic": mosaic, "sets": sets}, indent=1))


def nuclei_of(find: Callable[[Field], tuple[Any, npt.NDArray[np.int32]]]) -> Method:
    return lambda field: find(field)[1]


def measure(fields: list[Field], find: Method, mosaic: bool = False) -> dict[str, Any]:
    """Return scores of every field, their means and sds, and the seconds that finding took."""
    seconds = 0.0

    def timed(field: Field) -> npt.NDArray[np.int32]:
        nonlocal seconds
        field.rgb  # noqa: B018  read before the clock starts
        started = time.monotonic()
        nuclei = find(field)
        seconds += time.monotonic() - started
        return nuclei

    if mosaic:
        with tempfile.TemporaryDirectory() as folder:
            whole = put_together(fields, Path(folder) / "mosaic.png")
            found = apart(timed(whole), fields)
    else:
        found = (timed(field) for field in fields)
    images = {f.name: f.score(nuclei > 0, nuclei) for f, nuclei in zip(fields, found, strict=True)}
    means, sds = {}, {}
    for name in MEASURES:
        values = [scores[name] for scores in images.values() if name in scores]
        if values:
            means[name] = statistics.fmean(values)
            sds[name] = statistics.stdev(values) if len(values) > 1 else 0.0
    with_instances = sum("aji" in scores for scores in images.values())
    told = {"with_instances": with_instances, "seconds": round(seconds, 2)}
    return {"images": images, "mean": means, "sd": sds, **told}


def interval(first: Scores, other: Scores, measure: str) -> tuple[float, float, float]:
    """Return the mean difference other - first, and the ends of its 95 % interval (Efron, 1979)."""
    differences = np.array(
        [other[name][measure] - first[name][measure] for name in first if measure in first[name]]
    )
    drawn = np.random.default_rng(0).integers(0, len(differences), (RESAMPLES, len(differences)))
    low, high = np.percentile(differences[drawn].mean(1), [2.5, 97.5])
    return float(differences.mean()), float(low), float(high)


def table(sets: dict[str, dict[str, Any]]) -> list[str]:
    """Return Markdown tables: means and sds over images, then differences to the first method."""
    lines = ["| | | Dice | AJI | PQ | SQ | DQ | count error | seconds |", "|---" * 9 + "|"]
    for folder, found in sets.items():
        for name, result in found.items():
            cells = [
                f"{result['mean'][m]:.4f} ± {result['sd'][m]:.3f}" if m in result["mean"] else ""
                for m in MEASURES
            ]
            lines.append(f"| {Path(folder).name} | {name} | {' | '.join(cells)} | {result['seconds']:.1f} |")
    for folder, found in sets.items():
        first = next(iter(found.values()))
        total, told = len(first["images"]), first["with_instances"]
        lines += [
            "",
            f"{Path(folder).name}: mean ± sd over {total} images; all but Dice over {told}.",
        ]
    if len(next(iter(sets.values()))) < 2:
        return lines
    lines += ["", "| difference | | Dice | AJI | PQ |", "|---" * 5 + "|"]
    for folder, found in sets.items():
        (reference, first), *others = found.items()
        for name, result in others:
            cells = []
            for m in MEASURES[:3]:
                if m in first["mean"]:
                    mean, low, high = interval(first["images"], result["images"], m)
                    cells.append(f"{mean:+.4f} ({low:+.3f} to {high:+.3f})")
                else:
                    cells.append("")
            lines.append(f"| {Path(folder).name} | {name} - {reference} | {' | '.join(cells)} |")
    return [*lines, "", "In brackets 95 % intervals, a paired bootstrap over images."]


if __name__ == "__main__":
    main()
