"""Output folders as `predict` leaves them, small and made by hand."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from wsiseg.inference.slide_report import SlideReport
from wsiseg.objects.parquet import ParquetWriter
from wsiseg.objects.records import RECORDS
from wsiseg.slides.tissue import Tissue
from wsiseg.store.identity import FrameInfo, Identity
from wsiseg.store.layout import create_store
from wsiseg.store.outputs import Outputs
from wsiseg.store.slide_store import SlideStore

NASTY = 'it\'s <b>"x"</b> & ünï 100% #1'


def write_summary(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write summary.csv and run.json with these rows; what a row leaves out is as in `SlideReport`."""
    columns = [field.name for field in dataclasses.fields(SlideReport)]
    with (folder / "summary.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for row in rows:
            full = dataclasses.asdict(SlideReport(row["name"], row.get("path", "x.svs"))) | row
            writer.writerow({**full, "stage_seconds": json.dumps(full["stage_seconds"])})
    run = {"started": "2026-01-02T03:04:05+00:00", "ended": None, "model": {}, "config": {}, "versions": {}}
    (folder / "run.json").write_text(json.dumps(run))


def write_slide(
    folder: Path,
    name: str = "slide",
    *,
    squares: int = 10,
    side: int = 600,
    slide: str = "gone.svs",
    fingerprint: str = "f",
    failures: tuple[dict[str, Any], ...] = (),
    **summary: Any,
) -> Outputs:
    """Write store and table of a finished slide of 0.5 um whose nuclei are squares of 8 px on a lattice.

    Nucleus (i, j) has its corner at frame pixel (20 + 30 j, 20 + 30 i) and a confidence that falls with i.
    The left half of the slide is tissue.
    """
    outputs = Outputs(folder, name)
    mask = np.zeros((60, 60), np.bool_)
    mask[:, :30] = True
    frame = FrameInfo(side, side, 0.5, 2.0)
    objects = {"threshold": 0.5, "min_area_um2": 7.5, "split": True}
    identity = Identity("m" * 64, fingerprint, frame, objects, {})
    tissue = Tissue(mask, frame.width * frame.scale_l0 / 60)
    store = create_store(outputs.store, identity, tissue, 512, {"name": name, "slide": slide})
    labels, confidence = np.zeros((side, side), np.uint32), np.zeros((side, side), np.uint8)
    rows = []
    for i in range(squares):
        for j in range(squares):
            y, x, share = 20 + 30 * i, 20 + 30 * j, 1 - i / (2 * squares)
            labels[y : y + 8, x : x + 8] = len(rows) + 1
            confidence[y : y + 8, x : x + 8] = round(255 * share)
            rows.append(
                {
                    "centroid_x_um": (x + 4) * 0.5, "centroid_y_um": (y + 4) * 0.5, "area_um2": 16.0,
                    "circularity": 0.785, "mean_confidence": share, "haematoxylin_mean": 0.3,
                    "id": len(rows) + 1,
                }
            )  # fmt: skip
    store.array("labels/nuclei/0")[:] = labels
    store.array("0")[:] = confidence
    write_table(outputs, rows)
    counted = {"nuclei": len(rows), "tissue_mm2": 0.045, "tiles": 1, "failed_tiles": len(failures)}
    stages = {"read": 1.5, "network": 3.0}
    told = SlideReport(name, slide, reader="openslide", stage_seconds=stages, **{**counted, **summary})
    store.annotate(state="complete", failures=list(failures), summary=told.remembered())
    SlideStore(outputs.store).remove_work()
    return outputs


def write_table(outputs: Outputs, rows: list[dict[str, Any]]) -> None:
    """Write the table of nuclei; columns that a row leaves out are null."""
    schema = pa.schema([pa.field("id", pa.uint32()), *RECORDS])
    with ParquetWriter(outputs.parquet) as writer:
        writer.write(pa.Table.from_pylist(rows, schema=schema))
