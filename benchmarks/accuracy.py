"""How good a model is on labelled images, by the way of `predict`, against the script of twenty lines.

    python benchmarks/accuracy.py DATA [-m MODEL] [-o OUT]

DATA is a folder in the layout of MoNuSeg or CoNSeP; MODEL a model file or run folder, else the model that
ships. Confidence is computed by the engine of `predict` at the model's resolution, nuclei are found by its
object stage, and both are scored in the pixels of the image.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from harness.fields import Field, read_fields
from harness.network import finder

from wsiseg.config import ObjectsConfig
from wsiseg.errors import WsisegError
from wsiseg.evaluation.files import write_text

Method = Callable[[Field], npt.NDArray[np.int32]]
MEASURES = ("dice", "aji", "pq", "sq", "dq", "count_error")


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-m", "--model", type=click.Path(exists=True, path_type=Path), help="Model file or run folder.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Also write JSON here.")
@click.option("--threshold", type=float, help="Confidence of a nucleus.  [default: the model's]")
@click.option("--certainty", default=ObjectsConfig().certainty, show_default=True, help="0 keeps all nuclei.")
@click.option("--script/--no-script", default=True, show_default=True, help="Also score the script.")
@click.option("--device", default="auto", show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(
    data: Path,
    model: Path | None,
    output: Path | None,
    threshold: float | None,
    certainty: float,
    script: bool,
    device: str,
    threads: int,
) -> None:
    """Score a model on the labelled images of DATA."""
    from harness.baselines import script_nuclei

    from wsiseg.network.model import load_model

    try:
        fields = read_fields(data)
        loaded = load_model(model)
        config = ObjectsConfig(threshold=threshold, certainty=certainty)
        find = finder(loaded, config, device, threads)
        methods: dict[str, Method] = {"wsiseg": lambda field: find(field)[1]}
        if script:
            methods["script"] = lambda field: script_nuclei(field.rgb)
        found = {name: measure(fields, method) for name, method in methods.items()}
    except WsisegError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    for line in table(found):
        click.echo(line)
    if output is not None:
        write_text(output, json.dumps({"model": loaded.sha256, "mpp": loaded.info.mpp, **found}, indent=1))


def measure(fields: list[Field], find: Method) -> dict[str, Any]:
    """Return scores of every field, their means and sds, and the seconds that finding took."""
    images, seconds = {}, 0.0
    for field in fields:
        field.rgb  # noqa: B018  read before the clock starts
        started = time.monotonic()
        nuclei = find(field)
        seconds += time.monotonic() - started
        images[field.name] = field.score(nuclei > 0, nuclei)
    means, sds = {}, {}
    for name in MEASURES:
        values = [scores[name] for scores in images.values() if name in scores]
        if values:
            means[name] = statistics.fmean(values)
            sds[name] = statistics.stdev(values) if len(values) > 1 else 0.0
    with_instances = sum("aji" in scores for scores in images.values())
    told = {"with_instances": with_instances, "seconds": round(seconds, 2)}
    return {"images": images, "mean": means, "sd": sds, **told}


def table(found: dict[str, Any]) -> list[str]:
    """Return the lines of a Markdown table of means and sds over images."""
    lines = ["| | Dice | AJI | PQ | SQ | DQ | count error | seconds |", "|---|---|---|---|---|---|---|---|"]
    for name, result in found.items():
        cells = [
            f"{result['mean'][m]:.4f} ± {result['sd'][m]:.3f}" if m in result["mean"] else ""
            for m in MEASURES
        ]
        lines.append(f"| {name} | {' | '.join(cells)} | {result['seconds']:.1f} |")
    first = next(iter(found.values()))
    total, told = len(first["images"]), first["with_instances"]
    lines += ["", f"Mean ± sd over {total} images; AJI, PQ, SQ, DQ and count error over {told}."]
    return lines


if __name__ == "__main__":
    main()
