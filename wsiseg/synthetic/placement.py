"""Which of the lattice's nuclei there are: those that do not lie on others, by a rule that looks nearby."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsiseg.synthetic.jit import jit
from wsiseg.synthetic.layout import Layout
from wsiseg.synthetic.nuclei import MAX_SEMI_AXIS_UM, NUCLEUS, PITCH_UM, Nuclei, Nucleus, candidates

# two nuclei meet when their centres are closer than the sum of their largest radii
_NEIGHBOURS = int(np.ceil(2.0 * MAX_SEMI_AXIS_UM / PITCH_UM)) + 1
# two rounds of thinning look that far; a nucleus itself reaches two cells
_HALO = 3 * _NEIGHBOURS
REACH_UM = 1.35 * MAX_SEMI_AXIS_UM


@jit
def radius_towards(nucleus: Nucleus, dx: float, dy: float) -> float:
    """Return the radius of the nucleus's ellipse in the direction (dx, dy), of any length above 0."""
    along = (dx * nucleus["cos"] + dy * nucleus["sin"]) / nucleus["major_um"]
    across = (dy * nucleus["cos"] - dx * nucleus["sin"]) / nucleus["minor_um"]
    return float(np.sqrt((dx * dx + dy * dy) / (along * along + across * across)))


@jit
def _collide(a: Nucleus, b: Nucleus) -> bool:
    """Whether two nuclei would overlap by more than touching ones do."""
    dx, dy = b["x_um"] - a["x_um"], b["y_um"] - a["y_um"]
    distance = np.sqrt(dx * dx + dy * dy)
    slack = min(a["slack"], b["slack"])
    if distance >= slack * (a["major_um"] + b["major_um"]):
        return False
    if distance < 1e-6:
        return True
    return bool(distance < slack * (radius_towards(a, dx, dy) + radius_towards(b, dx, dy)))


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
    state = candidates(col0, row0, cols, rows, layout, columns, grid)
    _thin(grid, state, extra)
    for row in range(rows):
        for col in range(cols):
            if state[row, col] == 2:
                x, y = grid[row, col]["x_um"], grid[row, col]["y_um"]
                if x0 - REACH_UM < x < x1 + REACH_UM and y0 - REACH_UM < y < y1 + REACH_UM:
                    out[count] = grid[row, col]
                    count += 1
    return out[:count]
