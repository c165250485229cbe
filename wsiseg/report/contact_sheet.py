"""The contact sheet: the confidence of every channel of every repeat on the same sample crops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from wsiseg.report.training_figures import Samples
from wsiseg.training.selection import Choice, choice_of
from wsiseg.training.state import RepeatState, with_weights

TILES = 3
# At most so many repeats are shown, the best and the chosen one; metrics.csv has the others.
MOST_ROWS, MOST_CELLS = 24, 192
CHOSEN_COLOUR = "#d62728"


@dataclass(frozen=True, eq=False)
class Cell:
    """A channel of a repeat at its own best epoch, and what it sees of the samples: float32 (n, S, S)."""

    choice: Choice
    chosen: bool
    maps: npt.NDArray[np.float32]


def shown_repeats(states: Mapping[int, RepeatState], chosen: Choice) -> list[int]:
    """Return the numbers of the repeats that are shown, in order: all, or the best and the chosen one."""
    classes = next(iter(states.values())).network.classes
    room = max(1, min(MOST_ROWS, MOST_CELLS // classes))

    def worth(number: int) -> tuple[bool, float]:
        state = states[number]
        return number == chosen.repeat, choice_of(number, state, state.best_channel).value

    return sorted(sorted(states, key=worth, reverse=True)[:room])


def cells(states: Mapping[int, RepeatState], samples: Samples, chosen: Choice) -> Iterator[list[Cell]]:
    """Yield the cells of each repeat that is shown, one a channel; inverted channels are turned round."""
    for number in shown_repeats(states, chosen):
        state = states[number]
        at_epoch: dict[int, npt.NDArray[np.float32]] = {}
        row = []
        for channel in range(state.network.classes):
            choice = choice_of(number, state, channel)
            if choice.epoch not in at_epoch:
                network = with_weights(state.kept(channel))
                at_epoch[choice.epoch] = np.stack(
                    [samples.maps(network, tile) for tile in range(min(TILES, len(samples.pixels)))]
                )
            maps = at_epoch[choice.epoch][:, channel]
            is_chosen = (number, channel) == (chosen.repeat, chosen.channel)
            row.append(Cell(choice, is_chosen, 1 - maps if choice.inverted else maps))
        yield row


def contact_sheet(rows: Sequence[Sequence[Cell]], samples: Samples) -> Figure:
    """Draw repeats x channels on the same samples, the model marked with a frame; `rows` are of `cells`."""
    classes = len(rows[0])
    shape = len(rows) + 1, classes
    figure = Figure(figsize=(3.1 * classes + 0.5, 1.35 * shape[0] + 0.6), layout="constrained")
    axes = figure.subplots(*shape, squeeze=False)
    for channel in range(classes):
        _show(axes[0][channel], _strip(samples.pixels[:TILES]), f"samples (channel {channel} below)")
    for place, row in enumerate(rows, start=1):
        for axis, cell in zip(axes[place], row, strict=True):
            _show(axis, _strip(cell.maps), caption(cell.choice))
            axis.images[0].set(cmap="gray", clim=(0, 1))
            if cell.chosen:
                _frame(axis)
    figure.suptitle(
        "Confidence of every channel at its best epoch; framed: the model. "
        "Another one: wsiseg fit -o RUN --select REPEAT:CHANNEL",
        fontsize=9,
    )
    return figure


def caption(choice: Choice) -> str:
    """Return the caption of a channel: its name, epoch and scores."""
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
