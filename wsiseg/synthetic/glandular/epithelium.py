"""Glands: a layer of crowded nuclei around a lumen, solid sheets, goblet cells."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from wsiseg.synthetic.glandular.canvas import Canvas, Floats, directions, ramp

Mask = npt.NDArray[np.bool_]
EMPTY, MUCIN, SECRETION, BARE = range(4)
# The deepest nucleus of a solid sheet, which has no lumen.
EVERYWHERE_UM = 1e3
LONGEST_UM = 11.0
# Haematoxylin of the palest nuclei over that of their cytoplasm.
OVER_CYTOPLASM = 0.2


@dataclass(frozen=True)
class Glands:
    """Where epithelium lies.

    Parameters
    ----------
    mask : bool (side, side)
        Epithelium and lumen.
    depth_um : float32 (side, side)
        Distance from the basement membrane.
    lumen : float32 (side, side)
        0 to 1.
    content : int
        Of the lumen.
    solid : bool
        Whether there is no lumen.
    tall_um, deepest_um : float
        Height of the epithelium, and how deep nuclei lie in it.
    """

    mask: Mask
    depth_um: Floats
    lumen: Floats
    content: int
    solid: bool
    tall_um: float
    deepest_um: float


def draw_glands(canvas: Canvas) -> Glands:
    """Paint glands with their nuclei over what is there."""
    glands, wobble = _shaped(canvas)
    purple = _paint_cytoplasm(canvas, glands, wobble)
    rise = directions(cv2.GaussianBlur(glands.depth_um, (0, 0), max(canvas.px(2), 1)).astype(np.float32))
    vacuoles = _goblet_cells(canvas, glands, rise)
    _lay_nuclei(canvas, glands, vacuoles, rise, purple + OVER_CYTOPLASM)
    return glands


def _shaped(canvas: Canvas) -> tuple[Glands, Floats]:
    """Draw shape, height and lumen; also return how the borders wobble, in um."""
    rng = canvas.rng
    mask = _outlines(canvas)
    depth_um = cv2.distanceTransform(mask, cv2.DIST_L2, 5).astype(np.float32) * canvas.mpp
    solid = bool(rng.random() < 0.25)
    tall_um = rng.uniform(16, 38)
    deepest_um = EVERYWHERE_UM if solid else 4 + rng.uniform(0.3, 1.2) * (tall_um - 8)
    wobble = canvas.noise(6) * rng.uniform(1, 3) + canvas.noise(1.5) * rng.uniform(0, 1.8)
    lumen = np.zeros(mask.shape, np.float32) if solid else ramp(depth_um + wobble, tall_um, tall_um + 1.2)
    content = int(rng.choice(4))
    return Glands(mask > 0, depth_um, lumen, content, solid, tall_um, deepest_um), wobble


def _outlines(canvas: Canvas) -> npt.NDArray[np.uint8]:
    """Return where glands are, 0 or 1: lobes of noise, or warped ellipses that keep apart."""
    rng, side = canvas.rng, canvas.side_px
    if rng.random() < 0.35:
        return (canvas.noise(rng.uniform(18, 45)) > rng.uniform(-0.5, 0.4)).astype(np.uint8)
    mask, near = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)
    usual_um, gap = rng.uniform(28, 75), int(canvas.px(rng.uniform(3, 18))) | 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (gap, gap))
    turn = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    for _ in range(rng.choice([40, 140])):
        radius, aspect = canvas.px(usual_um * np.exp(rng.normal(0, 0.25))), rng.uniform(0.55, 1.5)
        (x, y), amplitude, angle = (
            rng.uniform(-0.1 * side, 1.1 * side, 2),
            rng.uniform(0.02, 0.12),
            rng.uniform(0, np.pi),
        )
        waves = 1 + sum(
            amplitude / (k - 1) ** 0.5 * rng.normal() * np.cos(k * turn + rng.uniform(0, 6.28))
            for k in range(2, 7)
        )
        u, v = radius * aspect * waves * np.cos(turn), radius / aspect * waves * np.sin(turn)
        cos, sin = np.cos(angle), np.sin(angle)
        outline = np.stack([x + u * cos - v * sin, y + u * sin + v * cos], 1)
        one = np.zeros_like(mask)
        cv2.fillPoly(one, [outline.round().astype(np.int32)], (1,))
        if not (one & near).any():
            mask |= one
            near |= np.asarray(cv2.dilate(one, disk), np.uint8)
    return mask


def _paint_cytoplasm(canvas: Canvas, glands: Glands, wobble: Floats) -> float:
    """Paint cytoplasm, lumen and a gap around; return the cytoplasm's haematoxylin."""
    rng, uniform = canvas.rng, canvas.rng.uniform
    haematoxylin = float(rng.choice([uniform(0.05, 0.2), uniform(0.15, 0.38)]))
    eosin = uniform(0.12, 0.4)
    if haematoxylin > 0.16:
        # On purple cytoplasm an empty nucleus could not be seen.
        canvas.vesicular = min(canvas.vesicular, 0.8)
    towards_lumen = np.float32(0) if glands.solid else np.clip(glands.depth_um / glands.tall_um, 0, 1)
    patch, seam = canvas.noise(5), canvas.noise(2.5)
    purple = 1 + 0.12 * canvas.mottle + 0.22 * canvas.grain + 0.15 * patch
    pink = 1 + 0.12 * canvas.mottle + 0.18 * canvas.grain - 0.1 * patch
    seams = 1 - np.exp(-((seam / 0.12) ** 2)) * uniform(0, 0.5)
    cytoplasm = (
        haematoxylin * (1 - uniform(0, 0.6) * towards_lumen) * purple * seams, eosin * pink * seams,
    )  # fmt: skip
    content = {
        MUCIN: (uniform(0.03, 0.15), 0.03), SECRETION: (0.05, uniform(0.1, 0.4)),
    }.get(glands.content, (0.0, 0.0))  # fmt: skip
    flaky = np.maximum(1 + 0.5 * canvas.noise(4) + 0.3 * canvas.grain, 0)
    inside = _softened(canvas, glands.mask, 0.4)
    retracted: Floats | np.float32 = np.float32(0)
    if rng.random() < 0.5:
        away_um = cv2.distanceTransform(1 - glands.mask.astype(np.uint8), cv2.DIST_L2, 5) * canvas.mpp
        width_um = uniform(0.6, 3.0)
        retracted = (
            (1 - ramp(away_um + 0.4 * wobble, width_um, width_um + 0.8)) * (1 - inside) * uniform(0.4, 1)
        )
    for plane, wall, filling in zip((canvas.haematoxylin, canvas.eosin), cytoplasm, content, strict=True):
        gland = (1 - glands.lumen) * wall + glands.lumen * filling * flaky
        plane[:] = (plane * (1 - inside) + inside * gland) * (1 - retracted)
    return haematoxylin


def _softened(canvas: Canvas, mask: Mask | npt.NDArray[np.uint8], sigma_um: float) -> Floats:
    sigma_px = max(canvas.px(sigma_um), 0.5)
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma_px), np.float32)


def _goblet_cells(canvas: Canvas, glands: Glands, rise: tuple[Floats, Floats]) -> Mask:
    """Paint vacuoles of mucin; return where."""
    rng, uniform, side = canvas.rng, canvas.rng.uniform, canvas.side_px
    vacuoles = np.zeros((side, side), np.uint8)
    shares = [0, 0, 0, 0.15] if glands.solid else [0, 0, uniform(0.1, 0.5), uniform(0.5, 1)]
    share = float(rng.choice(shares))
    if share > 0:
        least_um = 3 if glands.solid else 6
        room = glands.mask & (glands.lumen < 0.5) & (glands.depth_um > least_um)
        rows, cols = np.nonzero(room[::8, ::8])
        wanted = int(len(rows) * 64 * canvas.mpp**2 / 110 * share)
        for k in rng.permutation(len(rows))[:wanted]:
            x, y, radius = int(cols[k]) * 8, int(rows[k]) * 8, canvas.px(uniform(2.5, 7.5))
            axes = (int(radius * uniform(1, 1.5)), int(radius))
            angle = float(np.degrees(np.arctan2(rise[1][y, x], rise[0][y, x])))
            cv2.ellipse(vacuoles, (x, y), axes, angle, 0, 360, (1,), -1)
        covered = _softened(canvas, vacuoles, 0.5)
        mucin = rng.choice([uniform(0, 0.05), uniform(0.05, 0.22)])
        flaky = np.maximum(1 + 0.5 * canvas.noise(4) + 0.3 * canvas.grain, 0.2)
        canvas.haematoxylin[:] = canvas.haematoxylin * (1 - covered) + covered * mucin * flaky
        canvas.eosin[:] = canvas.eosin * (1 - covered) + covered * 0.03
    return vacuoles > 0


def _lay_nuclei(
    canvas: Canvas, glands: Glands, vacuoles: Mask, rise: tuple[Floats, Floats], least_stain: float
) -> None:
    """Lay nuclei, their longer axis across the epithelium; in solid sheets in any direction."""
    rng, uniform, solid = canvas.rng, canvas.rng.uniform, glands.solid
    room = glands.mask & (glands.lumen < 0.5) & (glands.depth_um > 1.5)
    rows, cols = np.nonzero((room & (glands.depth_um < glands.deepest_um) & ~vacuoles)[::2, ::2])
    if not len(rows):
        return
    usual_aspect = uniform(1.05, 1.7) if solid else uniform(1.15, 2.9)
    usual_um2, crowding = 34 * canvas.size**2 * uniform(0.75, 1.5), uniform(0.5, 2.2)
    overlap, irregular = uniform(0.05, 0.3), uniform(0.03, 0.09)
    tried = int(3.2 * crowding * len(rows) * 4 * canvas.mpp**2 / usual_um2)
    for k in rng.integers(len(rows), size=tried):
        x_px, y_px = cols[k] * 2 + uniform(0, 2), rows[k] * 2 + uniform(0, 2)
        if not solid and canvas.at(glands.depth_um, x_px, y_px) > glands.tall_um - 5 and rng.random() < 0.8:
            continue
        area_um2 = usual_um2 * np.exp(rng.normal(0, 0.28))
        aspect = max(1.02, usual_aspect * np.exp(rng.normal(0, 0.15)))
        axes = (min(np.sqrt(area_um2 * aspect / np.pi), LONGEST_UM), np.sqrt(area_um2 / aspect / np.pi))
        upright = np.arctan2(canvas.at(rise[1], x_px, y_px), canvas.at(rise[0], x_px, y_px))
        angle = uniform(0, 3.14) if solid else upright + rng.normal(0, 0.22)
        vesicular = float(np.clip(canvas.vesicular + rng.normal(0, 0.25), 0, 1))
        stain = max(canvas.pale * canvas.drawn_stain(), least_stain)
        canvas.lay(
            x_px, y_px, axes, angle, stain, vesicular, bend=rng.normal(0, 0.08),
            irregular=irregular, overlap=overlap, rim_um=uniform(0.3, 0.7),
        )  # fmt: skip
