"""The contact sheet: what every channel of every repeat sees on the same sample crops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from wsiseg.report.training_figures import Samples
from wsiseg.training.selection import Choice, choice_of
from wsiseg.training.state import RepeatState, with_weights

TILES = 3
CHOSEN_COLOUR = "#d62728"


def contact_sheet(states: Mapping[int, RepeatState], samples: Samples, chosen: Choice) -> Figure:
    """Draw repeats x channels on the same samples, each channel at its own best epoch.

    Parameters
    ----------
    states : mapping
        Repeat number, from 1 -> its state.
    samples : Samples
        The first three are shown.
    chosen : Choice
        Is marked with a frame.
    """
    tiles = range(min(TILES, len(samples.pixels)))
    classes = next(iter(states.values())).network.classes
    shape = len(states) + 1, classes
    figure = Figure(figsize=(3.1 * classes + 0.5, 1.35 * shape[0] + 0.6), layout="constrained")
    axes = figure.subplots(*shape, squeeze=False)
    for channel in range(classes):
        _show(axes[0][channel], _strip(samples.pixels[:TILES]), f"samples (channel {channel} below)")
    for row, (number, state) in enumerate(sorted(states.items()), start=1):
        for channel in range(classes):
            choice = choice_of(number, state, channel)
            network = with_weights(state.kept(channel))
            maps = np.stack([samples.maps(network, tile)[channel] for tile in tiles])
            shown = 1 - maps if choice.inverted else maps
            _show(axes[row][channel], _strip(shown), _caption(choice))
            axes[row][channel].images[0].set(cmap="gray", clim=(0, 1))
            if (number, channel) == (chosen.repeat, chosen.channel):
                _frame(axes[row][channel])
    figure.suptitle(
        "Confidence of every channel at its best epoch; framed: the model. "
        "Another one: wsiseg fit -o RUN --select REPEAT:CHANNEL",
        fontsize=9,
    )
    return figure


def _caption(choice: Choice) -> str:
    name = f"{choice.repeat}:{choice.channel}"
    parts = [
        name if choice.repeat else f"{name} (consensus)",
        f"epoch {choice.epoch}",
        f"score {choice.score:.3f}",
    ]
    if choice.dice is not None:
        parts.append(f"Dice {choice.dice:.3f}")
    if choice.inverted:
        parts.append("inverted")
    return "  ".join(parts)


def _strip(tiles: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return tiles (n, S, S[, 3]) side by side."""
    return np.concatenate(list(tiles), axis=1)


def _show(axis: Any, image: npt.NDArray[Any], title: str) -> None:
    axis.imshow(image, interpolation="nearest")
    axis.set_title(title, fontsize=7)
    axis.set_xticks([])
    axis.set_yticks([])


def _frame(axis: Any) -> None:
    for spine in axis.spines.values():
        spine.set(color=CHOSEN_COLOUR, linewidth=4)
    axis.title.set(color=CHOSEN_COLOUR, fontweight="bold")
