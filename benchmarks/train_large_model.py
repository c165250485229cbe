"""Train the model `large`, from generated tissue and images that are free to use; no label is read.

    python benchmarks/train_large_model.py DATA OUT [--scale 1.0] [--install]

DATA holds `slides/` and `free/` as for `train_shipped_model.py`; nothing else is read. Three stages, each
from where the last one ended: generated fields, whose nuclei are known, beside free images with the nuclei
that the models so far agree on; what they do not agree on hardly counts. OUT gets a model file of each stage.
With --install the last one becomes `large` in the package. About two hours on one core.
"""

from __future__ import annotations

import copy
import shutil
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from harness.crops import Pool, batch
from harness.pools import agreed, crypts, nests
from torch.nn.functional import binary_cross_entropy_with_logits
from train_shipped_model import FREE, PACKAGED

from wsiseg.network.fcnn import FCNN
from wsiseg.network.model import Model, ModelInfo, load_model, save_model
from wsiseg.training.guided.target_loss import GAP_REACH_UM, near_gaps
from wsiseg.training.learner import follow
from wsiseg.training.schedule import average_keeps

WIDTH, SIDE_PX, BATCH = 16, 192, 4
GAP_WEIGHT, CHANNELS = 4.0, (1.0, 0.4, 0.2, 0.2)
WARM_UP, AVERAGE = 150, 0.995
NESTS, CRYPTS = 48, 195


@dataclass(frozen=True)
class Stage:
    """A training: its resolution, rate and the steps in which that falls, and when it is stopped before.

    Stopped early, a network finds more pale nuclei (docs/accuracy.md). Crops are drawn from nests, crypts and
    free images by their shares. The model is used at finer pixels, which takes longer and finds more.
    """

    name: str
    mpp: float
    falling_steps: int
    steps: int
    rate: float
    shares: tuple[float, float, float]
    used_mpp: float


STAGES = (
    Stage("first", 0.5, 2400, 2400, 4e-3, (0.25, 0.45, 0.3), 0.5),
    Stage("second", 0.4, 2900, 1100, 3e-3, (0.2, 0.5, 0.3), 0.4),
    Stage("third", 0.4, 2860, 1600, 2.5e-3, (0.22, 0.54, 0.24), 0.35),
)


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--scale", default=1.0, show_default=True, help="Of steps and fields; for a trial, less.")
@click.option("--install", is_flag=True, help="Put the last model into the package.")
def main(data: Path, out: Path, scale: float, install: bool) -> None:
    """Train on DATA; leave models in OUT."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    drawn = nests(max(1, round(NESTS * scale)), 0), crypts(max(1, round(CRYPTS * scale)), 0)
    shipped = load_model()
    voters = [(shipped, 0.5), (shipped, 0.42)]
    network = FCNN(4, WIDTH)
    for number, stage in enumerate(STAGES):
        free = [agreed(data / name, mpp, voters) for name, mpp in FREE.items()]
        pools = [Pool(tissue, share) for tissue, share in zip((*drawn, free), stage.shares, strict=True)]
        path = out / f"{stage.name}.safetensors"
        network, model = trained(network, pools, stage, number, max(1, round(stage.steps * scale)), path)
        voters.append((model, stage.mpp))
    if install:
        shutil.copyfile(path, PACKAGED.with_name("large.safetensors"))


def trained(
    network: FCNN, pools: list[Pool], stage: Stage, seed: int, steps: int, path: Path
) -> tuple[FCNN, Model]:
    """Return the moving average of the weights, also as the model that is written to a path."""
    torch.manual_seed(seed)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    network = network.to(memory_format=torch.channels_last).train()
    average = copy.deepcopy(network)
    optimiser = torch.optim.Adam(network.parameters(), weight_decay=1e-5)
    for step in range(steps):
        share = 0.02 + 0.49 * (1 + np.cos(np.pi * step / stage.falling_steps))
        for group in optimiser.param_groups:
            group["lr"] = stage.rate * min(1, (step + 1) / WARM_UP) * share
        images, targets, worth = batch(pools, BATCH, SIDE_PX, stage.mpp, rng, generator)
        logits = network.logits(images.contiguous(memory_format=torch.channels_last))
        optimiser.zero_grad(set_to_none=True)
        loss_of(logits, targets, worth, stage.mpp).backward()
        optimiser.step()
        follow(average, network, average_keeps(AVERAGE, step))
    info = ModelInfo(
        mpp=stage.used_mpp, input="stains", adaptive=True, preset="large", seed=seed,
        training={
            "stage": stage.name, "mpp": stage.mpp, "steps": steps, "rate": stage.rate,
            "shares": list(stage.shares),
        },
    )  # fmt: skip
    return average, save_model(path, average.eval(), info)


def loss_of(logits: torch.Tensor, targets: torch.Tensor, worth: torch.Tensor, mpp: float) -> torch.Tensor:
    """Return cross-entropy plus 1 - Dice of four channels; narrow gaps count more, see `guided_losses`."""
    counts = worth * (1 + GAP_WEIGHT * near_gaps(targets[:, 0], round(GAP_REACH_UM / mpp)))
    counts = torch.stack([counts, worth, worth, worth], 1)
    entropy = (counts * binary_cross_entropy_with_logits(logits, targets, reduction="none")).mean((0, 2, 3))
    confidence, worth = torch.sigmoid(logits), worth[:, None]
    shared = (worth * confidence * targets).sum((0, 2, 3))
    total = (worth * (confidence.square() + targets.square())).sum((0, 2, 3))
    return ((entropy + 1 - (2 * shared + 1) / (total + 1)) * torch.tensor(CHANNELS)).sum()


if __name__ == "__main__":
    main()
