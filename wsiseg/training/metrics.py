"""metrics.csv: the scores of every repeat, epoch and channel."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wsiseg.machine.replacing import write_output
from wsiseg.training.state import EpochRecord

METRICS_FILE = "metrics.csv"
COLUMNS = (
    "repeat", "epoch", "channel", "score", "inverted", "dice", "loss", "skips", "steps", "seconds", "kept"
)  # fmt: skip


def metrics_rows(number: int, history: Sequence[EpochRecord]) -> list[dict[str, Any]]:
    """Return the rows of metrics.csv for a repeat, one per epoch and channel."""
    rows = []
    classes = len(history[0].scores) if history else 0
    best = [max(history, key=lambda record: record.value(k)).epoch for k in range(classes)]
    for record in history:
        for channel in range(classes):
            rows.append(
                {
                    "repeat": number,
                    "epoch": record.epoch,
                    "channel": channel,
                    "score": f"{record.scores[channel]:.6f}",
                    "inverted": int(record.inverted[channel]),
                    "dice": "" if record.dice is None else f"{record.dice[channel]:.6f}",
                    "loss": "" if record.loss is None else f"{record.loss:.6f}",
                    "skips": record.skips,
                    "steps": record.steps,
                    "seconds": f"{record.seconds:.3f}",
                    "kept": int(record.epoch == best[channel]),
                }
            )
    return rows


def write_metrics(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write metrics.csv into a folder."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_output(folder / METRICS_FILE, text.getvalue().encode())
