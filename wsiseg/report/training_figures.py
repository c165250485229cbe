"""Figures of one repeat, after figures 1 and 4 of Boserup & Selvan (2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from wsiseg.machine.marks import PICTURE_COMMENT
from wsiseg.machine.replacing import write_output
from wsiseg.network.fcnn import FCNN
from wsiseg.training.config import TrainingConfig
from wsiseg.training.loop import snapshot_epochs
from wsiseg.training.paper.sampler import draw_patches, patch_corners
from wsiseg.training.randomness import Purpose, torch_generator
from wsiseg.training.state import RepeatState, with_weights


@dataclass(frozen=True, eq=False)
class Samples:
    """The same few crops on every figure of a run.

    Parameters
    ----------
    pixels : uint8 (n, S, S, 3)
        The crops as the slides show them.
    images : float32 (n, 3, S, S)
        What the network sees of them.
    """

    pixels: npt.NDArray[np.uint8]
    images: npt.NDArray[np.float32]

    @classmethod
    def read(cls, path: Path) -> Samples:
        """Read the file that `fit` left."""
        tensors = safetensors.torch.load(path.read_bytes())
        return cls(tensors["pixels"].numpy(), tensors["images"].numpy())

    def maps(self, network: FCNN, sample: int) -> npt.NDArray[np.float32]:
        """Return the K confidence maps of a sample, float32 (K, S, S)."""
        with torch.no_grad():
            found: npt.NDArray[np.float32] = network(torch.from_numpy(self.images[sample])[None])[0].numpy()
        return found


def name_of(number: int) -> str:
    """Return the name of a repeat: counted from 1, 0 is the consensus."""
    return f"Repeat {number}" if number else "Consensus"


def figure1(state: RepeatState, config: TrainingConfig, samples: Samples, number: int) -> Figure:
    """Draw the best channel's confidence map of one image at five epochs, with sampled patches.

    Positive patches are white, negative ones red, as in the paper's figure 1.
    """
    channel = state.best_channel
    epochs = [epoch for epoch in snapshot_epochs(config.epochs) if epoch in state.weights]
    figure = Figure(figsize=(2.6 * (len(epochs) + 1), 3.0), layout="constrained")
    axes = figure.subplots(1, len(epochs) + 1, squeeze=False)[0]
    _show(axes[0], samples.pixels[0], "image")
    for axis, epoch in zip(axes[1:], epochs, strict=True):
        maps = samples.maps(with_weights(state.weights[epoch]), 0)
        _show(axis, maps[channel], f"epoch {epoch}")
        axis.images[0].set(cmap="viridis", clim=(0, 1))
        _outline_patches(axis, sampled_patches(maps, channel, config, epoch), config.patch_px)
    figure.suptitle(
        f"{name_of(number)}, channel {channel}: confidence and patches drawn (white positive, red negative)",
        fontsize=10,
    )
    return figure


def patch_shares(state: RepeatState) -> npt.NDArray[np.float64]:
    """Return how candidate patches are distributed over A and over B: (epochs, 2, K, bins), sums of 1."""
    counts = torch.stack(state.histograms).numpy().astype(np.float64)
    shares: npt.NDArray[np.float64] = counts / np.maximum(counts.sum(-1, keepdims=True), 1)
    return shares


def figure4(state: RepeatState, number: int) -> Figure:
    """Draw how mean confidence A and mean entropy B of candidate patches are distributed at each epoch."""
    shares = patch_shares(state)
    epochs, _, classes, _ = shares.shape
    figure = Figure(figsize=(2.8 * classes + 0.8, 5.0), layout="constrained")
    axes = figure.subplots(2, classes, squeeze=False, sharex=True, sharey=True)
    drawn = None
    for row, name in enumerate(("A: mean confidence", "B: mean entropy (bits)")):
        for channel in range(classes):
            axis = axes[row][channel]
            drawn = axis.imshow(
                np.sqrt(shares[:, row, channel].T),
                origin="lower", aspect="auto", extent=(0.5, epochs + 0.5, 0, 1), cmap="magma",
                vmin=0, vmax=np.sqrt(0.5),
            )  # fmt: skip
            if row == 0:
                axis.set_title(f"channel {channel}", fontsize=9)
            else:
                axis.set_xlabel("epoch")
        axes[row][0].set_ylabel(name)
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=axes, ticks=np.sqrt([0, 0.02, 0.1, 0.25, 0.5]))
        bar.ax.set_yticklabels(["0", "2 %", "10 %", "25 %", "50 %"])
        bar.set_label("share of the candidate patches")
    figure.suptitle(f"{name_of(number)}: candidate patches per epoch", fontsize=10)
    return figure


def draw_repeat(
    folder: Path, state: RepeatState, config: TrainingConfig, samples: Samples, number: int
) -> None:
    """Write figure1.png and figure4.png into the folder of a repeat."""
    save_figure(figure1(state, config, samples, number), folder / "figure1.png")
    save_figure(figure4(state, number), folder / "figure4.png")


def save_figure(figure: Figure, path: Path, dpi: int = 110) -> None:
    """Write a figure as PNG, whole or not at all."""
    from io import BytesIO

    data = BytesIO()
    figure.savefig(data, format="png", dpi=dpi, metadata={"Software": PICTURE_COMMENT.decode()})
    write_output(path, data.getvalue())


def _show(axis: Any, image: npt.NDArray[Any], title: str) -> None:
    axis.imshow(image, interpolation="nearest")
    axis.set_title(title, fontsize=9)
    axis.set_xticks([])
    axis.set_yticks([])


@dataclass(frozen=True)
class Patch:
    """A patch that was drawn: its top left corner in pixels, and its sign."""

    row: int
    col: int
    positive: bool


def sampled_patches(
    maps: npt.NDArray[np.float32], channel: int, config: TrainingConfig, epoch: int
) -> list[Patch]:
    """Return the patches that the sampler draws on confidence maps, float32 (K, S, S); none on small ones."""
    side = config.patch_px
    confidence = torch.from_numpy(maps)[None]
    if min(confidence.shape[-2:]) < side:
        return []
    generator = torch_generator(Purpose.STEP, config.seed, epoch)
    draw, _, _ = draw_patches(confidence, config.sampler, side, config.stride_px, config.draws, generator)
    corners = patch_corners(confidence.shape[-2], confidence.shape[-1], side, config.stride_px)
    drawn = zip(draw.index[0, channel], draw.positive[0, channel], draw.valid[0, channel], strict=True)
    return [
        Patch(int(corners[index, 0]), int(corners[index, 1]), bool(positive))
        for index, positive, valid in drawn
        if valid
    ]


def _outline_patches(axis: Any, patches: Sequence[Patch], side: int) -> None:
    for patch in patches:
        colour = "white" if patch.positive else "red"
        axis.add_patch(
            Rectangle((patch.col, patch.row), side, side, fill=False, edgecolor=colour, linewidth=1.2)
        )
