"""RUN/report.html: the run on one page that needs no other file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from wsiseg.command_text import command_line
from wsiseg.network.fcnn import FCNN
from wsiseg.network.model import load_model
from wsiseg.report.charts import Curves, Series, curves
from wsiseg.report.contact_sheet import TILES, Cell
from wsiseg.report.legend import colours
from wsiseg.report.page import data_uri, jpeg, number, png, write_page
from wsiseg.report.training_figures import Samples, name_of, patch_shares, sampled_patches
from wsiseg.training.config import TrainingConfig
from wsiseg.training.loop import snapshot_epochs
from wsiseg.training.presets import consensus_config
from wsiseg.training.run_folder import RunFolder
from wsiseg.training.run_record import RunRecord
from wsiseg.training.selection import Choice, choice_of
from wsiseg.training.state import RepeatState, with_weights

# Sides of the pictures in px, so that a report stays far below 5 MB however many repeats there are.
TILE_PX, SMALL_TILE_PX, FEW_CELLS = 224, 144, 64
FIGURE_PX = 320
BESIDE_TILES = 4
# Share of an epoch's patches that has the brightest colour; larger shares have it too.
HIGHEST_SHARE = 0.5
SHARE_TICKS = (0.0, 0.02, 0.1, 0.25, 0.5)

Pixels = npt.NDArray[np.uint8]


def write_report(
    folder: RunFolder,
    record: RunRecord,
    states: Mapping[int, RepeatState],
    samples: Samples,
    rows: Sequence[Sequence[Cell]],
) -> None:
    """Write report.html.

    Parameters
    ----------
    folder : RunFolder
        The run.
    record : RunRecord
        With the choice that became the model.
    states : mapping
        Repeat number, 0 for the consensus -> its state.
    samples : Samples
        Crops to show.
    rows : sequence of sequences of Cell
        The contact sheet.
    """
    config, choice, run = record.config, record.choice, folder.path.resolve()
    assert choice is not None
    shown = [row[0].choice.repeat for row in rows]
    seconds = {n: sum(record.seconds for record in state.history) for n, state in states.items()}
    write_page(
        folder.path / "report.html",
        "fit.html",
        name=run.name,
        state=record.state,
        preset=config.preset,
        mpp=config.mpp,
        choice=choice,
        choice_name=name_of(choice.repeat),
        whole_dice=record.dice_whole_images,
        seconds=sum(seconds.values()),
        slides=record.slides,
        failures=record.failures,
        predict_command=command_line("wsiseg", "predict", "SLIDES", "-m", run, "-o", "OUT"),
        comparison=record.comparison,
        beside=_beside(folder, record, states, samples),
        tiles=[_jpeg(tile, _tile_px(rows)) for tile in samples.pixels[:TILES]],
        rows=[_row(row, run, _tile_px(rows)) for row in rows],
        left_out=len(states) - len(shown),
        charts=_charts(states, shown, choice),
        figure1=_figure1(states[choice.repeat], _settings_of(config, choice), samples, choice),
        patch_px=config.patch_px,
        sample_px=samples.pixels.shape[1],
        figure4=_figure4(states[choice.repeat]),
        figure4_epochs=len(states[choice.repeat].histograms),
        share_ramp=_ramp(),
        share_ticks=[
            (round(100 * np.sqrt(v / HIGHEST_SHARE), 1), f"{number(100 * v)} %") for v in SHARE_TICKS
        ],
        repeats=[_best(n, state, choice, seconds[n]) for n, state in sorted(states.items())],
        has_dice=choice.dice is not None,
        facts=_facts(record),
        settings=json.dumps(config.to_json(), indent=2),
        report_command=command_line("wsiseg", "report", run),
    )


def _beside(
    folder: RunFolder, record: RunRecord, states: Mapping[int, RepeatState], samples: Samples
) -> list[dict[str, Any]]:
    """Return samples and what the fitted model and the one beside it see of them, a strip each."""
    choice = record.choice
    if record.comparison is None or choice is None:
        return []
    other = load_model(folder.prior)
    fitted = with_weights(states[choice.repeat].kept(choice.channel))
    shown = range(min(BESIDE_TILES, len(samples.pixels)))

    def seen(network: FCNN, channel: int) -> list[str]:
        maps = [samples.maps(network, tile)[channel] for tile in shown]
        return [_jpeg(np.rint(255 * each).astype(np.uint8), TILE_PX) for each in maps]

    return [
        {"name": "Samples", "tiles": [_jpeg(samples.pixels[tile], TILE_PX) for tile in shown]},
        {"name": "Fitted", "tiles": seen(fitted, choice.channel)},
        {"name": f"The model {record.comparison.other}", "tiles": seen(other.network, other.info.channel)},
    ]


def _settings_of(config: TrainingConfig, choice: Choice) -> TrainingConfig:
    return config if choice.repeat else consensus_config(config)


def _tile_px(rows: Sequence[Sequence[Cell]]) -> int:
    return TILE_PX if sum(map(len, rows)) <= FEW_CELLS else SMALL_TILE_PX


def _jpeg(picture: Pixels, side_px: int, quality: int = 80) -> str:
    import cv2

    if picture.shape[0] > side_px:
        smaller = cv2.resize(picture, (side_px, side_px), interpolation=cv2.INTER_AREA)
        picture = np.asarray(smaller, np.uint8)
    return data_uri(jpeg(picture, quality), "jpeg")


def _row(row: Sequence[Cell], run: Any, side_px: int) -> dict[str, Any]:
    cells = []
    for cell in row:
        chosen = cell.choice
        cells.append(
            {
                "choice": chosen,
                "chosen": cell.chosen,
                "maps": [_jpeg(np.rint(m * 255).astype(np.uint8), side_px) for m in cell.maps],
                "command": command_line(
                    "wsiseg", "fit", "--select", f"{chosen.repeat}:{chosen.channel}", "-o", run
                ),
            }
        )
    return {"name": name_of(row[0].choice.repeat), "cells": cells}


def _charts(states: Mapping[int, RepeatState], shown: Sequence[int], choice: Choice) -> list[Curves]:
    """Return loss, skips and scores over epochs: a line per repeat, and per channel of the chosen one."""

    def lines(value: Any) -> list[Series]:
        return [
            (name_of(n), n == choice.repeat, [value(n, record) for record in states[n].history])
            for n in shown
        ]

    def channel(n: int) -> int:
        return choice.channel if n == choice.repeat else states[n].best_channel

    mine = states[choice.repeat].history
    scores: list[Series] = [
        (f"Channel {k}", k == choice.channel, [record.scores[k] for record in mine])
        for k in range(len(mine[0].scores))
    ]
    charts = [
        curves("Loss", "mean of an epoch's steps", "", lines(lambda n, record: record.loss)),
        curves(
            "Skipped steps", "% of an epoch",
            "Steps in which a channel had no positive or no negative patch.",
            lines(lambda n, record: 100 * record.skips / max(1, record.steps)), 0.0,
        ),
        curves(
            "Score", "each at its best channel", "Agreement with the haematoxylin stain, without labels.",
            lines(lambda n, record: record.scores[channel(n)]),
        ),
        curves("Score of the channels", name_of(choice.repeat), "", scores),
    ]  # fmt: skip
    if choice.dice is not None:
        dice = lines(lambda n, record: None if record.dice is None else record.dice[channel(n)])
        charts.append(curves("Dice", "with the labels", "Labels choose and never train.", dice))
    return charts


def _figure1(
    state: RepeatState, config: TrainingConfig, samples: Samples, choice: Choice
) -> list[dict[str, Any]]:
    """Return confidence and drawn patches of one image at five epochs, as in the paper's figure 1."""
    epochs = [epoch for epoch in snapshot_epochs(config.epochs) if epoch in state.weights]
    found = []
    for epoch in epochs:
        maps = samples.maps(with_weights(state.weights[epoch]), 0)
        patches = sampled_patches(maps, choice.channel, config, epoch)
        found.append(
            {
                "epoch": epoch,
                "image": _jpeg(samples.pixels[0], FIGURE_PX, 85),
                "map": _jpeg(colours(maps[choice.channel].astype(np.float32)), FIGURE_PX, 85),
                "patches": patches,
                "positives": sum(patch.positive for patch in patches),
            }
        )
    return found


def _figure4(state: RepeatState) -> list[dict[str, Any]]:
    """Return how patches are distributed over A and B at each epoch, a pair of maps a channel."""
    shares = patch_shares(state)
    drawn = np.sqrt(np.clip(shares / HIGHEST_SHARE, 0, 1)).astype(np.float32)

    def picture(row: int, channel: int) -> str:
        return data_uri(png(colours(np.ascontiguousarray(drawn[:, row, channel].T[::-1]))), "png")

    return [
        {"channel": k, "confidence": picture(0, k), "entropy": picture(1, k)} for k in range(shares.shape[2])
    ]


def _ramp() -> str:
    ramp = colours(np.linspace(0, 1, 11, dtype=np.float32)[None])[0]
    return ", ".join(f"rgb({r} {g} {b})" for r, g, b in ramp.tolist())


def _best(n: int, state: RepeatState, choice: Choice, seconds: float) -> dict[str, Any]:
    best = choice if n == choice.repeat else choice_of(n, state, state.best_channel)
    return {
        "name": name_of(n),
        "choice": best,
        "chosen": n == choice.repeat,
        "epochs": len(state.history),
        "skips": sum(record.skips for record in state.history),
        "steps": sum(record.steps for record in state.history),
        "seconds": seconds,
    }


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    config, labels = record.config, record.labels
    consensus = f", {config.consensus_epochs} of the consensus" if config.consensus_epochs else ""
    return [
        ("Preset", config.preset),
        ("The network sees", f"{config.input} at {number(config.mpp)} µm per pixel"),
        ("Repeats", str(config.repeats)),
        ("Epochs", f"{config.epochs}{consensus}"),
        ("Crops", f"{config.crop_px} px, {config.batch_size} a step"),
        ("Patches", f"{config.patch_px} px, {config.draws} a class and image, sampler {config.sampler}"),
        ("Similarity", config.similarity),
        ("Learning rate", f"{config.learning_rate:g}, {config.schedule}"),
        ("Stain target", f"weight {config.target.weight:g}" if config.target.weight else "none"),
        ("Threshold", "each slide's own" if config.adaptive else f"{config.threshold:g}"),
        ("Labels", f"of {len(labels)} images, to choose" if labels else "none"),
        ("Seed", str(config.seed)),
        ("Device", f"{record.device}, {record.threads} threads"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in sorted(record.versions.items()))),
    ]
