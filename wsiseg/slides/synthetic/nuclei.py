"""Nuclei of a synthetic slide: placed on a jittered lattice, so that any box needs its neighbourhood only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsiseg.slides.synthetic.jit import jit
from wsiseg.slides.synthetic.layout import (
    CLEFT,
    CROWD,
    EPITHELIUM,
    FAT,
    FIBRE_V,
    LUMEN,
    LYMPHOID,
    MEMBRANE,
    N_FIELDS,
    PEN,
    STRENGTH,
    TISSUE,
    Layout,
    fields_at,
)
from wsiseg.slides.synthetic.noise import normal, uniform

PITCH_UM = 5.0
MAX_SEMI_AXIS_UM = 9.0
# two nuclei meet when their centres are closer than the sum of their largest radii
_NEIGHBOURS = int(np.ceil(2.0 * MAX_SEMI_AXIS_UM / PITCH_UM)) + 1
# two rounds of thinning look that far; a nucleus itself reaches two cells
_HALO = 3 * _NEIGHBOURS
REACH_UM = 1.35 * MAX_SEMI_AXIS_UM

EPITHELIAL, LYMPHOCYTE, SPINDLE = range(3)

NUCLEUS = np.dtype(
    [
        ("id", np.int64),
        ("x_um", np.float64),
        ("y_um", np.float64),
        ("major_um", np.float64),
        ("minor_um", np.float64),
        ("cos", np.float64),
        ("sin", np.float64),
        ("kind", np.int64),
        ("salt", np.int64),
        ("strength", np.float64),
        ("wave2", np.float64),
        ("wave3", np.float64),
        ("wave4", np.float64),
        ("phase2", np.float64),
        ("phase3", np.float64),
        ("phase4", np.float64),
        ("priority", np.int64),
        ("slack", np.float64),
    ]
)
Nuclei = npt.NDArray[np.void]


@jit
def _fibre_angle(x: float, y: float, layout: Layout, values: npt.NDArray[np.float32]) -> float:
    """Return the direction in which FIBRE_V does not change."""
    fields_at(x, y, layout, values)
    here = values[FIBRE_V]
    fields_at(x + 2.0, y, layout, values)
    dv_dx = values[FIBRE_V] - here
    fields_at(x, y + 2.0, layout, values)
    return np.arctan2(-dv_dx, values[FIBRE_V] - here)


@jit
def _choose(col: int, row: int, f: npt.NDArray[np.float32], layout: Layout) -> int:
    """Return the kind of nucleus that grows in a lattice cell with these fields, or -1 for none."""
    seed = layout.seed
    if f[TISSUE] < 0.02 or f[PEN] > -0.1:
        return -1
    draw = uniform(col, row, seed + 3) / max(layout.density, 1e-9)
    which = uniform(col, row, seed + 4)
    crowd = 1.0 + 0.6 * f[CROWD]
    if f[FAT] > 0.0:
        return SPINDLE if f[MEMBRANE] < 0.12 and draw < 0.16 else -1
    if f[EPITHELIUM] > 0.0:
        if f[LUMEN] > -0.05 or draw > 0.75 * crowd:
            return -1
        return LYMPHOCYTE if which < 0.04 else EPITHELIAL
    if f[LYMPHOID] > 0.0:
        if draw > min(0.25 + 1.6 * f[LYMPHOID], 0.9):
            return -1
        return SPINDLE if which < 0.1 else LYMPHOCYTE
    if f[CLEFT] < 1.0 or draw > 0.11 * crowd:
        return -1
    return LYMPHOCYTE if which < 0.22 else EPITHELIAL if which < 0.3 else SPINDLE


@jit
def _shape(nucleus: Nuclei, kind: int, col: int, row: int, layout: Layout, angle: float) -> None:
    """Draw size, aspect, irregular outline and depth of stain of one nucleus."""
    seed = layout.seed
    size, form = normal(col, row, seed + 5), uniform(col, row, seed + 6)
    if kind == EPITHELIAL:
        area = 40.0 * layout.nucleus_scale * np.exp(0.28 * size)
        aspect, irregular, depth = 1.08 + 0.8 * form * form, 0.055, 0.62
    elif kind == LYMPHOCYTE:
        area, aspect, irregular, depth = 23.0 * np.exp(0.16 * size), 1.02 + 0.25 * form, 0.035, 1.05
    else:
        area, aspect, irregular, depth = 22.0 * np.exp(0.3 * size), 1.9 + 2.2 * form, 0.06, 0.85
    nucleus["major_um"] = min(np.sqrt(area * aspect / np.pi), MAX_SEMI_AXIS_UM)
    nucleus["minor_um"] = np.sqrt(area / aspect / np.pi)
    nucleus["cos"], nucleus["sin"] = np.cos(angle), np.sin(angle)
    nucleus["kind"] = kind
    nucleus["strength"] = depth * np.exp(0.22 * normal(col, row, seed + 8))
    _outline(nucleus, irregular, col, row, seed)


@jit
def _outline(nucleus: Nuclei, irregular: float, col: int, row: int, seed: int) -> None:
    """Draw three waves on the outline, and the number that its chromatin grows from."""
    nucleus["wave2"] = irregular * normal(col, row, seed + 9)
    nucleus["wave3"] = 0.8 * irregular * normal(col, row, seed + 10)
    nucleus["wave4"] = 0.5 * irregular * normal(col, row, seed + 11)
    nucleus["phase2"] = 6.2831853 * uniform(col, row, seed + 12)
    nucleus["phase3"] = 6.2831853 * uniform(col, row, seed + 13)
    nucleus["phase4"] = 6.2831853 * uniform(col, row, seed + 14)
    nucleus["salt"] = int(uniform(col, row, seed + 15) * 1048576.0)
    nucleus["slack"] = 0.80 + 0.30 * uniform(col, row, seed + 16)


@jit
def _candidates(
    col0: int, row0: int, cols: int, rows: int, layout: Layout, columns: int, out: Nuclei
) -> npt.NDArray[np.int8]:
    """Fill one candidate for each lattice cell of a window; return 1 where there is one."""
    seed = layout.seed
    present = np.zeros((rows, cols), np.int8)
    values = np.empty(N_FIELDS, np.float32)
    for row in range(row0, row0 + rows):
        for col in range(col0, col0 + cols):
            x = (col + uniform(col, row, seed + 1)) * PITCH_UM
            y = (row + uniform(col, row, seed + 2)) * PITCH_UM
            fields_at(x, y, layout, values)
            kind = _choose(col, row, values, layout)
            if kind < 0:
                continue
            strength = values[STRENGTH]
            angle = 3.1415927 * uniform(col, row, seed + 7)
            if kind == SPINDLE:
                angle = 0.12 * angle - 0.19 + _fibre_angle(x, y, layout, values)
            elif kind == EPITHELIAL:
                angle = 0.3 * angle + 3.0 * (layout.fibre_cos + values[CROWD])
            nucleus = out[row - row0, col - col0]
            _shape(nucleus, kind, col, row, layout, angle)
            nucleus["strength"] *= 0.5 * strength + 0.5
            nucleus["id"] = (row + 4) * columns + col + 5
            nucleus["x_um"], nucleus["y_um"] = x, y
            nucleus["priority"] = int(uniform(col, row, seed + 17) * 1e9)
            present[row - row0, col - col0] = 1
    return present


@jit
def radius_towards(nucleus: Nuclei, dx: float, dy: float) -> float:
    """Return the radius of the nucleus's ellipse in the direction (dx, dy), of any length above 0."""
    along = (dx * nucleus["cos"] + dy * nucleus["sin"]) / nucleus["major_um"]
    across = (dy * nucleus["cos"] - dx * nucleus["sin"]) / nucleus["minor_um"]
    return np.sqrt((dx * dx + dy * dy) / (along * along + across * across))


@jit
def _collide(a: Nuclei, b: Nuclei) -> bool:
    """Whether two nuclei would overlap by more than touching ones do."""
    dx, dy = b["x_um"] - a["x_um"], b["y_um"] - a["y_um"]
    distance = np.sqrt(dx * dx + dy * dy)
    slack = min(a["slack"], b["slack"])
    if distance >= slack * (a["major_um"] + b["major_um"]):
        return False
    if distance < 1e-6:
        return True
    return distance < slack * (radius_towards(a, dx, dy) + radius_towards(b, dx, dy))


@jit
def _thin(grid: Nuclei, state: npt.NDArray[np.int8], extra: Nuclei) -> None:
    """Let the nucleus of higher priority win, in two rounds; winners get state 2, the rest 0.

    The second round is among those that lost to a loser only. A candidate's fate so depends on cells
    within `_HALO` of it and on nothing else.
    """
    rows, cols = state.shape
    for row in range(rows):
        for col in range(cols):
            for k in range(extra.size):
                if state[row, col] == 1 and _collide(extra[k], grid[row, col]):
                    state[row, col] = 0
    for _ in range(2):
        before = state.copy()
        for row in range(rows):
            for col in range(cols):
                if before[row, col] == 1 and _wins(grid, before, row, col):
                    state[row, col] = 2
        for row in range(rows):
            for col in range(cols):
                if state[row, col] == 1 and _meets_winner(grid, state, row, col):
                    state[row, col] = 0


@jit
def _wins(grid: Nuclei, state: npt.NDArray[np.int8], row: int, col: int) -> bool:
    rows, cols = state.shape
    me = grid[row, col]
    for r in range(max(row - _NEIGHBOURS, 0), min(row + _NEIGHBOURS + 1, rows)):
        for c in range(max(col - _NEIGHBOURS, 0), min(col + _NEIGHBOURS + 1, cols)):
            if state[r, c] == 1 and (r != row or c != col):
                other = grid[r, c]
                above = other["priority"] > me["priority"] or (
                    other["priority"] == me["priority"] and other["id"] > me["id"]
                )
                if above and _collide(me, other):
                    return False
    return True


@jit
def _meets_winner(grid: Nuclei, state: npt.NDArray[np.int8], row: int, col: int) -> bool:
    rows, cols = state.shape
    for r in range(max(row - _NEIGHBOURS, 0), min(row + _NEIGHBOURS + 1, rows)):
        for c in range(max(col - _NEIGHBOURS, 0), min(col + _NEIGHBOURS + 1, cols)):
            if state[r, c] == 2 and _collide(grid[row, col], grid[r, c]):
                return True
    return False


@jit
def _any_tissue(x0: float, y0: float, x1: float, y1: float, layout: Layout) -> bool:
    values = np.empty(N_FIELDS, np.float32)
    for row in range(9):
        for col in range(9):
            x, y = x0 + (x1 - x0) * col / 8.0, y0 + (y1 - y0) * row / 8.0
            fields_at(x, y, layout, values)
            if values[TISSUE] > -0.2:
                return True
    return False


@jit
def place(x0: float, y0: float, x1: float, y1: float, layout: Layout, columns: int, extra: Nuclei) -> Nuclei:
    """Return the nuclei that may reach into a box (micrometres), explicit ones first, then by lattice cell.

    `columns` is the number of lattice columns that ids are counted with.
    """
    col0 = int(np.floor((x0 - REACH_UM) / PITCH_UM)) - _HALO
    row0 = int(np.floor((y0 - REACH_UM) / PITCH_UM)) - _HALO
    cols = int(np.floor((x1 + REACH_UM) / PITCH_UM)) + _HALO + 1 - col0
    rows = int(np.floor((y1 + REACH_UM) / PITCH_UM)) + _HALO + 1 - row0
    out = np.empty(extra.size + rows * cols, NUCLEUS)
    count = 0
    for k in range(extra.size):
        reach = 1.4 * extra[k]["major_um"]
        x, y = extra[k]["x_um"], extra[k]["y_um"]
        if x0 - reach < x < x1 + reach and y0 - reach < y < y1 + reach:
            out[count] = extra[k]
            count += 1
    if layout.density <= 0.0:
        return out[:count]
    grid = np.empty((rows, cols), NUCLEUS)
    state = _candidates(col0, row0, cols, rows, layout, columns, grid)
    _thin(grid, state, extra)
    for row in range(rows):
        for col in range(cols):
            if state[row, col] == 2:
                x, y = grid[row, col]["x_um"], grid[row, col]["y_um"]
                if x0 - REACH_UM < x < x1 + REACH_UM and y0 - REACH_UM < y < y1 + REACH_UM:
                    out[count] = grid[row, col]
                    count += 1
    return out[:count]


def make_extra(places_um: list[tuple[float, float, float]], seed: int, first_id: int) -> Nuclei:
    """Return explicit nuclei, nearly round, from (x, y, radius) in micrometres, with ids from `first_id`."""
    out = np.zeros(len(places_um), NUCLEUS)
    for k, (x, y, radius) in enumerate(places_um):
        nucleus = out[k]
        nucleus["x_um"], nucleus["y_um"] = x, y
        nucleus["major_um"] = nucleus["minor_um"] = radius
        nucleus["cos"], nucleus["kind"], nucleus["strength"] = 1.0, EPITHELIAL, 0.75
        _outline.py_func(nucleus, 0.01, k, -977, seed)  # type: ignore[attr-defined]
        nucleus["id"], nucleus["slack"] = first_id + k, 1.0
        nucleus["priority"] = 2_000_000_000 - k
    return out
