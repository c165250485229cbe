"""OUT/index.html: all slides of an output folder in one table."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wsiseg.command_text import command_line
from wsiseg.errors import StoreError
from wsiseg.inference.run_log import RUN, SUMMARY
from wsiseg.report.page import link, number, write_page
from wsiseg.report.thumbnail import report_folder
from wsiseg.store.outputs import INDEX, PAGE, REPORTS, STORE, THUMBNAIL, Outputs
from wsiseg.store.slide_store import SlideStore

# Causes can be long, but a cell of a million bytes means that the file is not wsiseg's.
csv.field_size_limit(min(sys.maxsize, 1 << 20))
COLUMNS = (
    ("name", "slide", "text"),
    ("state", "state", "text"),
    ("nuclei", "nuclei", "num"),
    ("tissue_mm2", "tissue mm²", "num"),
    ("nuclei_per_mm2", "per mm²", "num"),
    ("seconds", "seconds", "num"),
    ("failed_tiles", "failed tiles", "num"),
    ("cause", "notes", "text"),
)
NUMBERS = {"nuclei": 12, "tissue_mm2": 3, "nuclei_per_mm2": 3, "seconds": 3, "failed_tiles": 12}


def write_index(folder: Path) -> Path:
    """Write the table of all slides from summary.csv, run.json and the stores.

    Parameters
    ----------
    folder : Path
        The output folder.

    Returns
    -------
    Path
        The page.
    """
    told = _summary(folder)
    known = {row["name"] for row in told if row.get("state") != "failed"}
    told += [_from_store(outputs.store) for outputs in finished_slides(folder) if outputs.name not in known]
    rows = sorted((_row(folder, row) for row in told), key=lambda row: str(row["name"]).casefold())
    run = _run(folder)
    states = Counter(row["state"] for row in rows)
    page = folder / INDEX
    write_page(
        page,
        "index.html",
        folder=folder.resolve().name,
        rows=rows,
        states=sorted(states.items()),
        totals=_totals(rows),
        columns=COLUMNS,
        started=_time(run.get("started")),
        settings=_settings(run),
        report_command=command_line("wsiseg", "report", folder.resolve()),
    )
    return page


def finished_slides(folder: Path) -> list[Outputs]:
    """Return the slides of a folder that have a finished store, with its arrays or without."""
    stores = sorted(folder.glob(f"*{STORE}"))
    return [Outputs(folder, path.name.removesuffix(STORE)) for path in stores if path.is_dir()]


def known_seconds(folder: Path) -> dict[str, float | None]:
    """Return how long each slide took from start to end, by name, as far as the summary knows."""
    rows = (row for row in _summary(folder) if row.get("state") != "failed")
    return {row["name"]: _float(row.get("seconds")) for row in rows}


def _summary(folder: Path) -> list[Mapping[str, Any]]:
    """Return the rows of summary.csv; none where it cannot be read."""
    try:
        with (folder / SUMMARY).open(newline="", encoding="utf-8") as file:
            return [row for row in csv.DictReader(file) if row.get("name")]
    except (OSError, csv.Error, UnicodeDecodeError):
        return []


def _run(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _row(folder: Path, told: Mapping[str, Any]) -> dict[str, Any]:
    name, state = str(told["name"]), str(told.get("state") or "done")
    values = {key: _float(told.get(key)) for key in NUMBERS}
    if state == "failed":
        values = {key: value if key == "seconds" else None for key, value in values.items()}
    # A name from a file is part of a path only where it is a plain name. What failed has no page: one of that
    # name is another slide's.
    plain = name not in ("", ".", "..") and not {"/", "\\", "\0"} & set(name)
    has_store = plain and state != "failed" and (folder / f"{name}{STORE}").is_dir()
    own = report_folder(folder, name if has_store else "")
    page, thumbnail = (has_store and (own / file).is_file() for file in (PAGE, THUMBNAIL))
    return {
        "name": name,
        "state": state,
        "cause": told.get("cause") or "",
        "warnings": told.get("warnings") or "",
        "values": values,
        "numbers": [
            ("" if values[key] is None else values[key], number(values[key], digits))
            for key, digits in NUMBERS.items()
        ],
        "link": link(REPORTS, name, PAGE) if page else "",
        "thumbnail": link(REPORTS, name, THUMBNAIL) if page and thumbnail else "",
    }


def _from_store(path: Path) -> dict[str, Any]:
    """Return what a store records about itself, for a slide that the summary does not list."""
    name = path.name.removesuffix(STORE)
    try:
        summary = dict(SlideStore(path).provenance.get("summary") or {})
    except StoreError as error:
        return {"name": name, "state": "failed", "cause": str(error)}
    return {**summary, "name": name, "state": "incomplete" if summary.get("failed_tiles") else "done"}


def _float(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def _totals(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    sums = {key: sum(row["values"][key] or 0 for row in rows) for key in NUMBERS}
    area = sums["tissue_mm2"]
    return {
        "nuclei": int(sums["nuclei"]),
        "tissue_mm2": area,
        "per_mm2": f"{sums['nuclei'] / area:,.0f}" if area else "–",
        "failed_tiles": int(sums["failed_tiles"]),
        "seconds": sums["seconds"],
    }


def _settings(run: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Return what the page shows of the last run: model, main settings, versions."""
    model, config = run.get("model"), run.get("config")
    if not isinstance(model, dict) or not isinstance(config, dict):
        return []
    return [
        ("Started", _time(run.get("started"))),
        ("Ended", _time(run.get("ended")) or "not yet"),
        ("Model", f"{str(model.get('sha256', ''))[:12]}, preset {model.get('preset', '–')}"),
        ("Resolution of the network", f"{config.get('mpp') or model.get('mpp')} µm per pixel"),
        ("Nuclei", _objects(config.get("objects"))),
        ("Device, reader", f"{config.get('device')}, {config.get('reader')}"),
        ("Versions", _listed(run.get("versions"))),
        ("Machine", run.get("platform", "")),
    ]


def _time(text: object) -> str:
    return f"{str(text)[:16].replace('T', ' ')} UTC" if text else ""


def _objects(values: object) -> str:
    """Return how confidence became nuclei; run.json has the rest."""
    if not isinstance(values, dict):
        return ""
    threshold = values.get("threshold")
    return ", ".join(
        [
            f"threshold {'of the model or the slide' if threshold is None else threshold}",
            f"{number(_float(values.get('min_area_um2')))} µm² or larger",
            f"certainty {number(_float(values.get('certainty')))} or more",
            "touching nuclei split" if values.get("split") else "touching nuclei not split",
            f"outlines exact to {number(_float(values.get('simplify_um')))} µm",
        ]
    )


def _listed(values: object) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items()) if isinstance(values, dict) else ""
