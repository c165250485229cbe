"""Maps on the page of a slide: the outline of its tissue, and the density of its nuclei."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from wsiseg.report.charts import Tick, nice_ticks, nice_top
from wsiseg.report.legend import colours
from wsiseg.report.page import data_uri, number, png
from wsiseg.report.slide_numbers import SlideNumbers
from wsiseg.slides.tissue import Tissue
from wsiseg.store.identity import FrameInfo

OUTLINE_PX = 1000


def tissue_path(tissue: Tissue, frame: FrameInfo) -> str:
    """Return the outline of the tissue as an SVG path in pixels of the frame."""
    import shapely

    tolerance = max(frame.width, frame.height) / OUTLINE_PX
    path = []
    for ring in coarser(tissue, OUTLINE_PX // 2).outlines_l0():
        thin = shapely.get_coordinates(
            shapely.simplify(shapely.linestrings(ring / frame.scale_l0), tolerance)
        )
        if len(thin) > 3:
            path.append("M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in thin[:-1]) + "Z")
    return "".join(path)


def coarser(tissue: Tissue, most_px: int) -> Tissue:
    """Return the tissue with at most so many pixels along a side, by majority of each pixel."""
    import cv2

    rows, cols = tissue.mask.shape
    step = -(-max(rows, cols) // most_px)
    if step == 1:
        return tissue
    padded = np.pad(tissue.mask, ((0, -rows % step), (0, -cols % step)), mode="edge").astype(np.uint8)
    size = padded.shape[1] // step, padded.shape[0] // step
    share = cv2.resize(padded * 255, size, interpolation=cv2.INTER_AREA)
    return Tissue(np.asarray(share) > 127, tissue.scale_l0 * step)


def density_map(numbers: SlideNumbers, tissue: Tissue, frame: FrameInfo) -> dict[str, Any]:
    """Return the density as a picture of squares, with its key, and its values for the page's script."""
    squares = numbers.squares
    values = numbers.density(tissue, frame)
    known = values[np.isfinite(values)]
    top = nice_top(float(np.percentile(known, 99.5))) if len(known) and known.max() > 0 else 0.0
    share = np.nan_to_num(np.clip(values / top, 0, 1) if top else np.zeros_like(values))
    rgba = np.dstack([colours(share.astype(np.float32)), np.isfinite(values).astype(np.uint8) * 255])
    ramp = colours(np.linspace(0, 1, 11, dtype=np.float32)[None])[0]
    shown = np.where(np.isfinite(values), np.clip(np.round(values), 0, 65534), 65535).astype("<u2")
    return {
        "picture": data_uri(png(rgba), "png"),
        "rows": squares.rows,
        "cols": squares.cols,
        # The last squares may reach over the slide's edge.
        "width": squares.cols * squares.width_um / frame.mpp,
        "height": squares.rows * squares.height_um / frame.mpp,
        "square_um": number(squares.width_um),
        "top": top,
        "ramp": ", ".join(f"rgb({r} {g} {b})" for r, g, b in ramp.tolist()),
        "ticks": [Tick(round(100 * v / top, 1), number(v, 12)) for v in nice_ticks(0, top, 5)] if top else [],
        "values": base64.b64encode(shown.tobytes()).decode(),
        "median": float(np.median(known)) if len(known) else None,
    }
