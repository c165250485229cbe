"""A synthetic slide: any box of it, as RGB or as labels, from its configuration alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wsiseg.errors import UsageError
from wsiseg.synthetic import optics, paint, raster, stain
from wsiseg.synthetic.layout import BLUR, PEN, TISSUE, Layout, field_grid, make_layout
from wsiseg.synthetic.noise import textures
from wsiseg.synthetic.nuclei import PITCH_UM, Nuclei, make_extra
from wsiseg.synthetic.placement import place
from wsiseg.tiles import Box, Grid

BLOCK_PX = 512
_MARGIN_PX = 8
_HAEMATOXYLIN = 0.68


class NucleiTable(NamedTuple):
    """The nuclei of a box, one entry each.

    Attributes
    ----------
    ids : (n,) int32
        Their values in the label image.
    centres_l0 : (n, 2) float64
        (x, y) in level-0 pixels, pixel corner = integer.
    areas_um2 : (n,) float64
        Area within the outline, before touching neighbours take their part.
    kinds : (n,) int64
        0 epithelial, 1 lymphocyte, 2 spindle.
    """

    ids: npt.NDArray[np.int32]
    centres_l0: npt.NDArray[np.float64]
    areas_um2: npt.NDArray[np.float64]
    kinds: npt.NDArray[np.int64]


@dataclass(frozen=True)
class SyntheticSlide:
    """H&E-like tissue on glass with known nuclei; every pixel is a pure function of its place.

    Parameters
    ----------
    width, height : int
        Size in level-0 pixels.
    mpp : float
        Micrometres per pixel; tissue and nuclei keep their physical size.
    seed : int
        Architecture, stain and light are drawn from it.
    tissue_share : float
        Share of the slide that is tissue: 0 is bare glass, 1 is tissue up to every edge.
    pen : bool
        Whether a pen stroke runs over the slide; no nuclei lie under it.
    density : float
        Factor on how many nuclei grow; 0 leaves `extra_nuclei` only.
    stain_variation : float
        How far stain vectors and strengths vary between seeds; 0 gives the middle, 1 what laboratories do.
    noise : float
        Standard deviation of the scanner's noise, in grey levels.
    extra_nuclei : sequence of (x, y, radius)
        Round nuclei at given places, in level-0 pixels; others make way for them.

    Raises
    ------
    UsageError
        When a size, share or resolution makes no sense.
    """

    width: int
    height: int
    mpp: float = 0.25
    seed: int = 0
    tissue_share: float = 0.4
    pen: bool = True
    density: float = 1.0
    stain_variation: float = 1.0
    noise: float = 1.6
    extra_nuclei: Sequence[tuple[float, float, float]] = ()

    def __post_init__(self) -> None:
        places = tuple((float(x), float(y), float(radius)) for x, y, radius in self.extra_nuclei)
        object.__setattr__(self, "extra_nuclei", places)
        if any(radius <= 0.0 for _, _, radius in places):
            raise UsageError("every one of extra_nuclei needs a radius above 0")
        if self.width < 1 or self.height < 1:
            raise UsageError(f"a synthetic slide of {self.width} x {self.height} px: both must be at least 1")
        if not 0.02 <= self.mpp <= 20.0:
            raise UsageError(f"a synthetic slide at {self.mpp} um per pixel: take 0.02 to 20")
        if not 0.0 <= self.tissue_share <= 1.0 or self.density < 0.0 or self.seed < 0:
            raise UsageError("a synthetic slide needs tissue_share in 0..1, density >= 0 and seed >= 0")
        if self._n_lattice + len(self.extra_nuclei) >= 1 << 31:
            raise UsageError(
                f"a synthetic slide of {self.width} x {self.height} px has too many nuclei to number"
            )

    @property
    def frame(self) -> Box:
        """The whole slide as a box."""
        return Box(0, 0, self.width, self.height)

    @cached_property
    def _scene(self) -> _Scene:
        """What all blocks share."""
        width_um, height_um = self.width * self.mpp, self.height * self.mpp
        places = [(x * self.mpp, y * self.mpp, r * self.mpp) for x, y, r in self.extra_nuclei]
        return _Scene(
            layout=make_layout(width_um, height_um, self.seed, self.tissue_share, self.pen, self.density),
            extra=make_extra(places, self._n_lattice + 1),
            stains=stain.stain_matrix(self.seed, self.stain_variation),
            glass=stain.glass_colour(self.seed),
            transmission=stain.transmission(),
            textures=textures(self.mpp),
            lens=_gaussian(0.18 / self.mpp, 2),
            defocus=_gaussian(0.55 / self.mpp, 5),
        )

    @property
    def _columns(self) -> int:
        """Lattice columns, with some beyond both edges."""
        return int(self.width * self.mpp / PITCH_UM) + 10

    @property
    def _n_lattice(self) -> int:
        return self._columns * (int(self.height * self.mpp / PITCH_UM) + 10)

    def render(self, box: Box) -> npt.NDArray[np.uint8]:
        """Return RGB of a box inside the slide, (height, width, 3) uint8, the same bits in any box."""
        out = np.empty((box.height, box.width, 3), np.uint8)
        for block, shared in self._blocks(box):
            out[shared.slices_in(box)] = self.render_block(block)[shared.slices_in(block)]
        return out

    def truth(self, box: Box) -> npt.NDArray[np.int32]:
        """Return the label image of a box, (height, width) int32: 0 background, else the nucleus's id.

        Ids are unique over the slide and the same in every box.
        """
        out = np.empty((box.height, box.width), np.int32)
        for block, shared in self._blocks(box):
            out[shared.slices_in(box)] = self._truth_block(block)[shared.slices_in(block)]
        return out

    def nuclei(self, box: Box) -> NucleiTable:
        """Return the nuclei whose centre lies in a box of the slide."""
        self._check(box)
        found = _place(self, box)
        x, y = found["x_um"] / self.mpp, found["y_um"] / self.mpp
        found = found[(x >= box.x0) & (x < box.x1) & (y >= box.y0) & (y < box.y1)]
        waves = found["wave2"] ** 2 + found["wave3"] ** 2 + found["wave4"] ** 2
        return NucleiTable(
            ids=found["id"].astype(np.int32),
            centres_l0=np.stack([found["x_um"], found["y_um"]], 1) / self.mpp,
            areas_um2=np.pi * found["major_um"] * found["minor_um"] * (1.0 + 0.5 * waves),
            kinds=found["kind"].copy(),
        )

    def render_block(self, block: Box) -> npt.NDArray[np.uint8]:
        """Return RGB of one whole block: `block` is anchored to multiples of `BLOCK_PX`."""
        scene = self._scene
        out = np.empty((BLOCK_PX, BLOCK_PX, 3), np.uint8)
        window = block.grown(_MARGIN_PX)
        fields = self._fields(window)
        bare = fields[:, TISSUE].max() < -0.1 and fields[:, PEN].max() < -0.1
        nuclei, owner, rho = self._rasterised(window)
        if bare and nuclei.size == 0:
            optics.develop_glass(block.x0, block.y0, scene.glass, scene.textures[2], self.noise, out)
            return out
        density = np.empty((3, *owner.shape), np.float32)
        paint.stain(
            fields, self._step_px, window.x0, window.y0, self.mpp, nuclei, owner, rho, scene.textures[0],
            scene.textures[1], _HAEMATOXYLIN, scene.layout, density,
        )  # fmt: skip
        stained = density if fields[:, PEN].max() > -0.1 else density[:2]
        stained[:] = self._focused(stained, fields, scene)
        optics.develop(
            density, _MARGIN_PX, block.x0, block.y0, scene.stains, scene.glass, scene.textures[2], self.noise,
            scene.transmission, out,
        )  # fmt: skip
        return out

    def _focused(
        self, density: npt.NDArray[np.float32], fields: npt.NDArray[np.float32], scene: _Scene
    ) -> npt.NDArray[np.float32]:
        """Smooth each plane as the lens does, and more where the slide lies out of focus."""
        sharp = optics.blur(density, scene.lens)
        if fields[:, BLUR].max() > 0.0:
            optics.mix_blurred(sharp, optics.blur(sharp, scene.defocus), fields, self._step_px)
        return sharp

    @property
    def _step_px(self) -> int:
        """Pixels between the places where fields are computed: 2 um, a power of two dividing the margin."""
        return int(2 ** np.clip(np.floor(np.log2(2.0 / self.mpp)), 0, 3))

    def _truth_block(self, block: Box) -> npt.NDArray[np.int32]:
        nuclei, owner, rho = self._rasterised(block)
        ids = np.append(nuclei["id"], 0).astype(np.int32)
        return np.where(rho <= 1.0, ids[owner], np.int32(0))

    def _rasterised(self, window: Box) -> tuple[Nuclei, npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        nuclei = _place(self, window)
        owner = np.full((window.height, window.width), -1, np.int32)
        rho = np.full(owner.shape, 9.0, np.float32)
        raster.rasterise(nuclei, window.x0, window.y0, owner, rho, self.mpp)
        return nuclei, owner, rho

    def _fields(self, window: Box) -> npt.NDArray[np.float32]:
        step = self._step_px
        return field_grid(
            window.x0, window.y0, window.width // step + 1, window.height // step + 1, step, self.mpp,
            self._scene.layout,
        )  # fmt: skip

    def _blocks(self, box: Box) -> list[tuple[Box, Box]]:
        """Return the whole blocks that meet a box, each with what they share."""
        self._check(box)
        grid = Grid(self.width, self.height, BLOCK_PX)
        tiles = [tile.core for tile in grid.meeting(box)]
        return [(Box(c.x0, c.y0, c.x0 + BLOCK_PX, c.y0 + BLOCK_PX), c.clipped(box)) for c in tiles]

    def _check(self, box: Box) -> None:
        if box.clipped(self.frame) != box:
            raise UsageError(f"{box} reaches out of the synthetic slide of {self.width} x {self.height} px")


class _Scene(NamedTuple):
    layout: Layout
    extra: Nuclei
    stains: npt.NDArray[np.float32]
    glass: npt.NDArray[np.float32]
    transmission: npt.NDArray[np.float32]
    textures: npt.NDArray[np.float32]
    lens: npt.NDArray[np.float32]
    defocus: npt.NDArray[np.float32]


def _gaussian(sigma_px: float, reach: int) -> npt.NDArray[np.float32]:
    """Return the 2 * `reach` + 1 taps of a Gaussian, of sum 1."""
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma_px, 0.05)) ** 2)
    out: npt.NDArray[np.float32] = (taps / taps.sum()).astype(np.float32)
    return out


def _place(slide: SyntheticSlide, window: Box) -> Nuclei:
    scene = slide._scene
    x0, y0, x1, y1 = (v * slide.mpp for v in window)
    return place(x0, y0, x1, y1, scene.layout, slide._columns, scene.extra)
