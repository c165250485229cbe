"""How well a model holds when a laboratory stains or scans otherwise, beside the script of twenty lines.

    python benchmarks/stain_shift.py DATA [-m MODEL] [--every 2] [-o OUT]

DATA is a folder in the layout of MoNuSeg or CoNSeP. Every image is changed in the same way, in optical
density (haematoxylin and eosin separated by Ruifrok & Johnston's vectors) or in its colours, and scored
again; the labels stay. The model's stains are taken from each changed image, as `predict` does.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from accuracy import measure
from harness.fields import Field, read_fields
from harness.files import write_text
from harness.network import finder

from wsiseg.config import ObjectsConfig
from wsiseg.errors import WsisegError

Pixels = npt.NDArray[np.uint8]
Change = Callable[[Pixels], Pixels]


def stained(rgb: Pixels, haematoxylin: float, eosin: float) -> Pixels:
    """Multiply the densities of the two stains."""
    from skimage.color import hed2rgb, rgb2hed

    changed = hed2rgb(rgb2hed(rgb) * np.array([haematoxylin, eosin, 1.0]))
    return np.rint(255 * np.clip(changed, 0, 1)).astype(np.uint8)


def dyed(rgb: Pixels, red: float, green: float, blue: float) -> Pixels:
    """Multiply the optical densities of the colours: other dyes, or another lamp's spectrum."""
    density = -np.log(np.maximum(rgb, 1) / 255.0) * np.array([red, green, blue])
    return np.rint(255 * np.exp(-density)).astype(np.uint8)


def exposed(rgb: Pixels, gain: float, gamma: float) -> Pixels:
    """Change brightness: 255 gain (v / 255)^gamma."""
    return np.rint(255 * np.clip(gain * (rgb / 255.0) ** gamma, 0, 1)).astype(np.uint8)


CHANGES: dict[str, Change] = {
    "as scanned": lambda rgb: rgb,
    "haematoxylin halved": partial(stained, haematoxylin=0.5, eosin=1.0),
    "haematoxylin doubled": partial(stained, haematoxylin=2.0, eosin=1.0),
    "eosin halved": partial(stained, haematoxylin=1.0, eosin=0.5),
    "eosin doubled": partial(stained, haematoxylin=1.0, eosin=2.0),
    "haematoxylin halved, eosin doubled": partial(stained, haematoxylin=0.5, eosin=2.0),
    "both times 0.6": partial(stained, haematoxylin=0.6, eosin=0.6),
    "both times 1.6": partial(stained, haematoxylin=1.6, eosin=1.6),
    "redder dyes": partial(dyed, red=0.75, green=1.0, blue=1.25),
    "bluer dyes": partial(dyed, red=1.25, green=1.0, blue=0.75),
    "under-exposed by 30 %": partial(exposed, gain=0.7, gamma=1.0),
    "gamma 0.6": partial(exposed, gain=1.0, gamma=0.6),
    "gamma 1.6": partial(exposed, gain=1.0, gamma=1.6),
}


def changed(fields: list[Field], change: Change, folder: Path) -> list[Field]:
    """Write the changed images to a folder; return fields of these."""
    from PIL import Image

    found = []
    for field in fields:
        path = folder / f"{field.name}.png"
        Image.fromarray(change(field.rgb)).save(path)
        found.append(replace(field, image=path))
    return found


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-m", "--model", type=click.Path(exists=True, path_type=Path), help="Model file or run folder.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Also write JSON here.")
@click.option("--every", default=1, show_default=True, help="Take every so many-th image only.")
@click.option("--device", default="auto", show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(data: Path, model: Path | None, output: Path | None, every: int, device: str, threads: int) -> None:
    """Score a model on the changed images of DATA."""
    from harness.baselines import script_nuclei

    from wsiseg.network.model import load_model

    found = {}
    try:
        fields = read_fields(data)[::every]
        find = finder(load_model(model), ObjectsConfig(), device, threads)
        click.echo("| | wsiseg: Dice | AJI | PQ | script: Dice | AJI | PQ |\n|---|---|---|---|---|---|---|")
        for name, change in CHANGES.items():
            with tempfile.TemporaryDirectory() as folder:
                those = changed(fields, change, Path(folder))
                both = {
                    "wsiseg": measure(those, lambda field: find(field)[1])["mean"],
                    "script": measure(those, lambda field: script_nuclei(field.rgb))["mean"],
                }
            cells = [f"{mean[m]:.3f}" for mean in both.values() for m in ("dice", "aji", "pq") if m in mean]
            click.echo(f"| {name} | {' | '.join(cells)} |")
            found[name] = both
    except WsisegError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    told = sum(field.nuclei is not None for field in fields)
    click.echo(f"\nMeans over {len(fields)} images; AJI and PQ over {told}.")
    if output is not None:
        write_text(output, json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
