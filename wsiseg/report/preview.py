"""The picture that `predict` leaves for each slide: its tissue, its nuclei, how many, and how large it is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wsiseg.errors import StoreError
from wsiseg.machine.replacing import write_output
from wsiseg.report.legend import colours, with_legend
from wsiseg.report.page import jpeg

if TYPE_CHECKING:
    import pyarrow as pa

Rgb = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

MAX_SIDE_PX = 2000
QUALITY = 90
# Small images are enlarged by a whole factor, so that outlines show.
MAX_FACTOR = 4
NUCLEUS_UM = 8.0
# Below this size in the picture outlines run together, and density says more.
OUTLINE_FROM_PX = 7.0
BIN_PX = 4
SMOOTHING_PX = 8.0
NUCLEI_COLOUR = (0, 220, 90)
TISSUE_COLOUR = (20, 60, 160)
CENTROID = ("centroid_x_l0", "centroid_y_l0")
# cv2 draws at fractions of a pixel given as fixed point numbers of so many bits.
_FRACTION_BITS = 4


@dataclass
class _Picture:
    """A picture being drawn; one of its pixels is `px_l0` level-0 pixels."""

    rgb: Rgb
    px_l0: float
    mpp: float
    counts: npt.NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        rows, cols = (-(-side // BIN_PX) for side in self.rgb.shape[:2])
        self.counts = np.zeros((rows, cols), np.float32)

    @property
    def shows_outlines(self) -> bool:
        return NUCLEUS_UM / self.mpp >= OUTLINE_FROM_PX


def write_preview(
    path: str | os.PathLike[str],
    thumbnail: Rgb,
    *,
    scale_l0: float,
    mpp_l0: float,
    tissue_outlines_l0: Sequence[Points],
    batches: Iterable[pa.Table],
    title: str,
    count: int,
    area_mm2: float | None = None,
) -> None:
    """Write a picture of a slide with its tissue and its nuclei.

    Where a nucleus is a few pixels wide in the picture each is outlined, else their density is laid over the
    slide. Batches are drawn one by one: memory depends on the picture alone.

    Parameters
    ----------
    path : path-like
        JPEG to write; it is whole or absent.
    thumbnail : uint8 (H, W, 3)
        The slide; a picture above 2000 px is made smaller, a small one larger.
    scale_l0 : float
        Level-0 pixels per pixel of the thumbnail.
    mpp_l0 : float
        Micrometres per level-0 pixel.
    tissue_outlines_l0 : sequence of float (n, 2)
        Rings of the tissue, holes included, (x, y) in level-0 pixels; none means that no tissue was found.
    batches : iterable of pyarrow.Table
        Records of nuclei as in `wsiseg.objects.records`.
    title : str
        Name of the slide.
    count : int
        Number of nuclei.
    area_mm2 : float, optional
        Area of the tissue; left out, it is measured in the picture.

    Raises
    ------
    StoreError
        If the picture cannot be written.
    """
    picture = _prepared(thumbnail, scale_l0, mpp_l0)
    for batch in batches:
        if picture.shows_outlines:
            _draw_nuclei(picture, batch)
        else:
            _count_nuclei(picture, batch)
    highest = 0.0 if picture.shows_outlines else _overlay_density(picture)
    covered = _draw_tissue(picture, tissue_outlines_l0)
    if area_mm2 is None:
        area_mm2 = covered * picture.mpp**2 / 1e6
    whole = with_legend(
        picture.rgb, mpp=picture.mpp, title=title, count=count, area_mm2=area_mm2, highest=highest
    )
    _save(whole, Path(path))


def _prepared(thumbnail: Rgb, scale_l0: float, mpp_l0: float) -> _Picture:
    """Return the picture at a size that suits a screen."""
    import cv2

    height, width = thumbnail.shape[:2]
    longer = max(height, width)
    if longer > MAX_SIDE_PX:
        size = tuple(max(1, round(side * MAX_SIDE_PX / longer)) for side in (width, height))
        rgb, factor = cv2.resize(thumbnail, size, interpolation=cv2.INTER_AREA), MAX_SIDE_PX / longer
    else:
        factor = min(MAX_FACTOR, MAX_SIDE_PX // longer)
        rgb = cv2.resize(thumbnail, (width * factor, height * factor), interpolation=cv2.INTER_CUBIC)
    px_l0 = scale_l0 / factor
    return _Picture(np.ascontiguousarray(rgb), px_l0, mpp_l0 * px_l0)


def _draw_nuclei(picture: _Picture, batch: pa.Table) -> None:
    """Draw the outlines of a batch."""
    import shapely

    polygons = shapely.from_wkb(batch["geometry"].drop_null().to_numpy(zero_copy_only=False))
    if not len(polygons):
        return
    _, coordinates, ends = shapely.to_ragged_array(polygons)
    fixed = _fixed_point(coordinates, picture.px_l0)
    rings = [fixed[begin:end] for begin, end in pairwise(ends[0].tolist())]
    thickness = 2 if NUCLEUS_UM / picture.mpp >= 40 else 1
    _draw_rings(picture, rings, NUCLEI_COLOUR, thickness)


def _count_nuclei(picture: _Picture, batch: pa.Table) -> None:
    """Count the nuclei of a batch where they lie."""
    x, y = (batch[name].to_numpy() / (picture.px_l0 * BIN_PX) for name in CENTROID)
    rows, cols = picture.counts.shape
    row, col = np.clip(y.astype(np.int64), 0, rows - 1), np.clip(x.astype(np.int64), 0, cols - 1)
    np.add.at(picture.counts, (row, col), 1)


def _draw_rings(
    picture: _Picture, fixed: Sequence[npt.NDArray[np.int32]], colour: tuple[int, int, int], thickness: int
) -> None:
    import cv2

    cv2.polylines(picture.rgb, fixed, True, colour, thickness, cv2.LINE_AA, _FRACTION_BITS)


def _fixed_point(ring_l0: Points, px_l0: float) -> npt.NDArray[np.int32]:
    """Return points as cv2 takes them: pixel centres at whole numbers, in fixed point."""
    return np.rint((np.asarray(ring_l0) / px_l0 - 0.5) * (1 << _FRACTION_BITS)).astype(np.int32)


def _draw_tissue(picture: _Picture, outlines_l0: Sequence[Points]) -> int:
    """Draw the outlines of the tissue and return how many pixels they hold (even-odd: holes are left out)."""
    import cv2

    inside = np.zeros(picture.rgb.shape[:2], np.uint8)
    rings = [_fixed_point(ring, picture.px_l0) for ring in outlines_l0]
    if rings:
        cv2.fillPoly(inside, rings, 1, cv2.LINE_8, _FRACTION_BITS)
    _draw_rings(picture, rings, TISSUE_COLOUR, 1)
    return int(inside.sum())


def _overlay_density(picture: _Picture) -> float:
    """Blend the density of nuclei over the slide; return the highest shown, in nuclei per mm2."""
    import cv2

    height, width = picture.rgb.shape[:2]
    sigma = SMOOTHING_PX / BIN_PX
    smooth = cv2.GaussianBlur(picture.counts, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    density = smooth / (BIN_PX * picture.mpp / 1000) ** 2
    occupied = density[density > 0]
    if len(occupied) == 0:
        return 0.0
    highest = float(np.percentile(occupied, 99.5))
    share = np.clip(density / highest, 0, 1)
    alpha = 0.8 * np.clip(share * 6, 0, 1) * (0.5 + 0.5 * share)
    full, weight = (
        cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in (share, alpha)
    )
    blended = cv2.blendLinear(colours(full), picture.rgb, weight, 1 - weight)
    picture.rgb = np.asarray(blended, np.uint8)
    return highest


def _save(rgb: Rgb, path: Path) -> None:
    try:
        write_output(path, jpeg(rgb, QUALITY, full_colour=True))
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from error
