"""RUN/report.html: the run on one page that needs no other file."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import Any

from wsiseg.report.training_figures import name_of
from wsiseg.training.run_folder import RunFolder
from wsiseg.whole import write_whole

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:left}"
    "img{max-width:100%}code{background:#f3f3f3;padding:.1rem .3rem}tr.chosen{font-weight:bold}"
)


def write_report(folder: RunFolder, rows: list[dict[str, Any]]) -> None:
    """Write report.html.

    Parameters
    ----------
    folder : RunFolder
        With run.json, the contact sheet and the figures in it.
    rows : list of dict
        The best channel of each repeat: repeat, channel, epoch, score, dice, chosen.
    """
    described = folder.read() or {}
    chosen = described.get("chosen", {})
    summary = (
        f"{len(described.get('slides', []))} slides or images, preset {described['config']['preset']}, "
        f"state: {described['state']}. Model: repeat {chosen.get('repeat')}, "
        f"channel {chosen.get('channel')}, epoch {chosen.get('epoch')}, chosen by {chosen.get('by')}. Use it:"
    )
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>wsiseg fit</title>",
        f"<style>{STYLE}</style><h1>wsiseg fit</h1>",
        f"<p>{_text(summary)} <code>wsiseg predict SLIDES -m {_text(folder.path.name)} -o OUT</code></p>",
        "<h2>Repeats, each at its best channel and epoch</h2>",
        _table(rows),
        "<h2>What every channel sees</h2>",
        _image(folder.path / "contact-sheet.png"),
    ]
    for number in sorted({row["repeat"] for row in rows}):
        parts.append(f"<h2>{name_of(number)}</h2>")
        parts.extend(_image(folder.repeat(number) / name) for name in ("figure1.png", "figure4.png"))
    if described.get("failures"):
        items = "".join(f"<li>{_text(f['path'])}: {_text(f['cause'])}</li>" for f in described["failures"])
        parts.append(f"<h2>Left out</h2><ul>{items}</ul>")
    parts.append(f"<h2>Settings</h2><pre>{_text(json.dumps(described.get('config'), indent=2))}</pre></html>")
    write_whole(folder.path / "report.html", "\n".join(parts).encode())


def _table(rows: list[dict[str, Any]]) -> str:
    columns = ("repeat", "channel", "epoch", "score", "dice")
    head = "".join(f"<th>{name}</th>" for name in columns)
    lines = []
    for row in rows:
        cells = "".join(f"<td>{_text(row[name])}</td>" for name in columns)
        lines.append(f"<tr class='{'chosen' if row['chosen'] else ''}'>{cells}</tr>")
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _image(path: Path) -> str:
    if not path.exists():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    return f"<p><img alt='{_text(path.stem)}' src='data:image/png;base64,{data}'></p>"


def _text(value: object) -> str:
    if value is None:
        return "-"
    return html.escape(f"{value:.3f}" if isinstance(value, float) else str(value))
