"""Nuclei that would grow in each cell of a lattice: kind, shape and stain, from the cell alone."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from wsiseg.synthetic.jit import jit
from wsiseg.synthetic.layout import (
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
from wsiseg.synthetic.noise import normal, uniform

PITCH_UM = 5.0
MAX_SEMI_AXIS_UM = 9.0
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
        ("vesicular", np.float64),
        ("halo", np.float64),
        ("spot1_x_um", np.float64),
        ("spot1_y_um", np.float64),
        ("spot1_um", np.float64),
        ("spot2_x_um", np.float64),
        ("spot2_y_um", np.float64),
        ("spot2_um", np.float64),
    ]
)
Nuclei = npt.NDArray[np.void]
# one record of it; its fields have no static types
Nucleus: TypeAlias = Any


@jit
def _fibre_angle(x: float, y: float, layout: Layout, values: npt.NDArray[np.float32]) -> float:
    """Return the direction in which FIBRE_V does not change."""
    fields_at(x, y, layout, values)
    here = values[FIBRE_V]
    fields_at(x + 2.0, y, layout, values)
    dv_dx = values[FIBRE_V] - here
    fields_at(x, y + 2.0, layout, values)
    return float(np.arctan2(-dv_dx, values[FIBRE_V] - here))


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
def _shape(nucleus: Nucleus, kind: int, col: int, row: int, layout: Layout, angle: float) -> None:
    """Draw size, aspect, irregular outline and depth of stain of one nucleus."""
    seed = layout.seed
    size, form = normal(col, row, seed + 5), uniform(col, row, seed + 6)
    if kind == EPITHELIAL:
        area = 40.0 * layout.nucleus_scale * np.exp(0.36 * size)
        aspect, irregular, depth = 1.08 + 1.0 * form * form, 0.075, 0.62
    elif kind == LYMPHOCYTE:
        area, aspect, irregular, depth = 23.0 * np.exp(0.16 * size), 1.02 + 0.35 * form, 0.05, 1.0
    else:
        area, aspect, irregular, depth = 21.0 * np.exp(0.35 * size), 1.8 + 2.8 * form, 0.08, 0.8
    nucleus["major_um"] = min(np.sqrt(area * aspect / np.pi), MAX_SEMI_AXIS_UM)
    nucleus["minor_um"] = np.sqrt(area / aspect / np.pi)
    nucleus["cos"], nucleus["sin"] = np.cos(angle), np.sin(angle)
    nucleus["kind"] = kind
    nucleus["strength"] = max(depth * layout.depth * np.exp(0.34 * normal(col, row, seed + 8)), 0.32)
    nucleus["vesicular"] = min(max(layout.vesicular + 0.3 * normal(col, row, seed + 18), 0.0), 1.0)
    nucleus["halo"] = max(2.4 * uniform(col, row, seed + 20) - 1.9, 0.0)
    _outline(nucleus, irregular, col, row, seed)


@jit
def _outline(nucleus: Nucleus, irregular: float, col: int, row: int, seed: int) -> None:
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
def _nucleoli(nucleus: Nucleus, col: int, row: int, layout: Layout) -> None:
    """Draw up to two nucleoli, the more the paler the slide's nuclei are; none has a size of 0."""
    seed = layout.seed
    count = int((0.6 + 2.4 * layout.vesicular) * uniform(col, row, seed + 19))
    reach = 0.55 * nucleus["minor_um"]
    away, turn = reach * uniform(col, row, seed + 22), 6.2831853 * uniform(col, row, seed + 23)
    nucleus["spot1_x_um"] = nucleus["x_um"] + away * np.cos(turn)
    nucleus["spot1_y_um"] = nucleus["y_um"] + away * np.sin(turn)
    nucleus["spot1_um"] = 0.4 + 0.5 * uniform(col, row, seed + 24) if count > 0 else 0.0
    away, turn = reach * uniform(col, row, seed + 25), turn + 1.5 + 3.0 * uniform(col, row, seed + 26)
    nucleus["spot2_x_um"] = nucleus["x_um"] + away * np.cos(turn)
    nucleus["spot2_y_um"] = nucleus["y_um"] + away * np.sin(turn)
    nucleus["spot2_um"] = 0.4 + 0.4 * uniform(col, row, seed + 27) if count > 1 else 0.0


@jit
def candidates(
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
            _nucleoli(nucleus, col, row, layout)
            nucleus["priority"] = int(uniform(col, row, seed + 17) * 1e9)
            present[row - row0, col - col0] = 1
    return present


def make_extra(places_um: list[tuple[float, float, float]], first_id: int) -> Nuclei:
    """Return explicit nuclei, round, from (x, y, radius) in micrometres, with ids from `first_id`."""
    out = np.zeros(len(places_um), NUCLEUS)
    for k, (x, y, radius) in enumerate(places_um):
        nucleus = out[k]
        nucleus["x_um"], nucleus["y_um"] = x, y
        nucleus["major_um"] = nucleus["minor_um"] = radius
        nucleus["cos"], nucleus["kind"], nucleus["strength"] = 1.0, EPITHELIAL, 0.75
        nucleus["id"], nucleus["slack"], nucleus["salt"] = first_id + k, 1.0, 7919 * (k + 1) % 1048576
        nucleus["priority"] = 2_000_000_000 - k
    return out
