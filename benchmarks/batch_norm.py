"""What the statistics of batch norm are worth: Dice of trained networks on images they have not seen.

    python benchmarks/batch_norm.py DATA RUN [--fold 1] [--folds 5] [--windows 8] [--json FILE]

RUN is the folder of a run of paper.py on a fold of DATA (OUT/runs/paper-fold-1-...). Each repeat is scored at
its chosen channel and epoch, bare and with the paper's clean-up, its batch norms with

- the statistics in the model file: running averages over training crops;
- those of the same crops again, with the final weights: what the lag of the averages is worth;
- those of whole training images: what zero padding around crops, and their choice, are worth;
- those of each scored image alone, and of all scored images, ten a batch (the authors' evaluation).
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from harness.authors import BATCH, cleaned
from harness.fields import Field, folds, read_fields
from torch import Tensor, nn

from wsiseg.evaluation.metrics import dice
from wsiseg.network.fcnn import FCNN, to_input
from wsiseg.network.model import Model, load_model

CROP_PX = 300


def with_statistics(network: FCNN, batches: Sequence[Tensor]) -> FCNN:
    """Return the network with the mean over batches of their statistics in its batch norms."""
    network = copy.deepcopy(network).train()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for number, batch in enumerate(batches):
            for norm in norms:
                norm.momentum = 1 / (number + 1)
            network.logits(batch)
    return network.eval()


def maps(network: FCNN, model: Model, images: Tensor) -> list[np.ndarray]:
    """Return where nuclei are, bool (H, W) of each image."""
    with torch.no_grad():
        confidence = network(images)[:, model.info.channel].numpy()
    return list((1 - confidence if model.info.inverted else confidence) > 0.5)


def score(found: Callable[[Sequence[Field]], list[np.ndarray]], fields: Sequence[Field], at_once: int):
    """Return the mean Dice, bare and cleaned."""
    values = []
    for start in range(0, len(fields), at_once):
        some = fields[start : start + at_once]
        for field, mask in zip(some, found(some), strict=True):
            values.append((dice(field.truth, mask), dice(field.truth, cleaned(mask))))
    return [round(statistics.fmean(column), 4) for column in zip(*values, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--fold", type=int, default=1)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--windows", type=int, default=8, help="training images that statistics are taken of")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    fields = read_fields(options.data, as_authors=True)
    scored = folds(fields, options.folds)[options.fold - 1]
    trained = [field for field in fields if field not in scored][: options.windows]
    generator = np.random.default_rng(0)
    whole = [to_input(field.rgb) for field in trained]
    crops = torch.cat([_crop(image, generator) for image in whole for _ in range(3)])
    rows: dict[str, dict[str, list[float]]] = {}
    for file in sorted(options.run.glob("repeat-*/model.safetensors")):
        folder, model = file.parent, load_model(file)
        network = model.network
        on_crops = with_statistics(network, crops.split(BATCH))
        on_whole = with_statistics(network, whole)
        ways = {
            "model file": (network, 1),
            "the same kind of crops, final weights": (on_crops, 1),
            "whole training images": (on_whole, 1),
            "each scored image": (copy.deepcopy(network).train(), 1),
            "scored images, ten a batch": (copy.deepcopy(network).train(), BATCH),
        }
        rows[folder.name] = {}
        for name, (form, at_once) in ways.items():
            found = score(
                lambda some, form=form, model=model: maps(
                    form, model, torch.cat([to_input(field.rgb) for field in some])
                ),
                scored,
                at_once,
            )
            rows[folder.name][name] = found
            print(
                f"{folder.name}, epoch {model.info.training['epoch']}, {name}: "
                f"bare {found[0]:.3f}, cleaned {found[1]:.3f}",
                flush=True,
            )
    print("\n| batch norm with the statistics of | Dice, bare | cleaned |\n|---|---|---|")
    for name in next(iter(rows.values())):
        means = [statistics.fmean(row[name][k] for row in rows.values()) for k in (0, 1)]
        print(f"| {name} | {means[0]:.3f} | {means[1]:.3f} |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def _crop(image: Tensor, generator: np.random.Generator) -> Tensor:
    y, x = (int(generator.integers(size - CROP_PX + 1)) for size in image.shape[-2:])
    return image[..., y : y + CROP_PX, x : x + CROP_PX]


if __name__ == "__main__":
    main()
