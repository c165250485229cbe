"""What the browser receives: bytes of tiles, maps and nuclei, and facts about the slide."""

from __future__ import annotations

import io
import math
import threading
import zlib
from functools import cached_property, partial
from typing import Any

import numpy as np
from cachetools import LRUCache, cachedmethod
from cachetools.keys import methodkey
from numpy.typing import NDArray

from wsiseg.command_text import command_line
from wsiseg.errors import SlideError
from wsiseg.objects.mask import threshold_u8
from wsiseg.store.blocks import SHARD_PX
from wsiseg.tiles import Box, Grid
from wsiseg.viewer.density import Density, keeps
from wsiseg.viewer.nuclei import Nucleus
from wsiseg.viewer.pyramid import TILE_PX, Pyramid
from wsiseg.viewer.rings import NucleusRings
from wsiseg.viewer.viewed import Viewed

JPEG_QUALITY = 90
TILE_CACHE_BYTES = 192 * 2**20
TYPICAL_NUCLEUS_UM = 8.0
# Outlines of smaller nuclei run together on the screen; a density map is clearer.
OUTLINE_FROM_PX = 4.0
# Tissue outlines keep one point per this many pixels of a screen that shows the whole slide.
TISSUE_DETAIL_PX = 2000
STEPS = 100
MEASURE_NAMES = {
    "mean_confidence": "Mean confidence",
    "haematoxylin_mean": "Haematoxylin OD",
    "area_um2": "Area",
    "perimeter_um": "Perimeter",
    "circularity": "Circularity",
    "eccentricity": "Eccentricity",
    "solidity": "Solidity",
    "major_axis_um": "Major axis",
    "minor_axis_um": "Minor axis",
}
"""Columns by which outlines can be coloured, and what people call them."""


class Content:
    """Renders what the browser requests; threads share it, and its caches are bounded.

    Parameters
    ----------
    viewed : Viewed
        The store, with the slide and the nuclei if they are there.
    store_as_typed : str
        The store's path as the user typed it, for the commands on the page.
    """

    def __init__(self, viewed: Viewed, store_as_typed: str) -> None:
        self.viewed = viewed
        self._store_as_typed = store_as_typed
        self.slide_pyramid = Pyramid(viewed.backdrop.width_l0, viewed.backdrop.height_l0)
        self._tiles: LRUCache[Any, bytes] = LRUCache(TILE_CACHE_BYTES, len)
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Prepare what the first request for outlines would wait for."""
        if self.viewed.nuclei is not None:
            self.viewed.nuclei.index  # noqa: B018

    def slide_tile(self, level: int, col: int, row: int) -> bytes:
        """Return a tile of the slide as JPEG; one that cannot be decoded is hatched in red.

        Raises
        ------
        LookupError
            If there is no such tile.
        """
        box = self.slide_pyramid.box(level, col, row)
        return self._jpeg(level, box)

    @cachedmethod(lambda self: self._tiles, partial(methodkey, kind="slide"), lambda self: self._lock)
    def _jpeg(self, level: int, box: Box) -> bytes:
        from PIL import Image

        try:
            rgb = self.viewed.backdrop.read(level, box)
        except SlideError:
            rgb = hatched(box)
        file = io.BytesIO()
        Image.fromarray(rgb).save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        return file.getvalue()

    def confidence_tile(self, level: int, col: int, row: int) -> bytes:
        """Return the confidence of a tile of the store's level, one byte per pixel, row by row, deflated.

        Raises
        ------
        LookupError
            If there is no such tile.
        """
        frame, store = self.viewed.store.frame, self.viewed.store
        if level >= store.levels:
            raise LookupError(f"no level {level}")
        box = Pyramid(frame.width, frame.height).box(level, col, row).clipped(store.confidence[level].frame)
        return self._deflated(level, box)

    @cachedmethod(lambda self: self._tiles, partial(methodkey, kind="confidence"), lambda self: self._lock)
    def _deflated(self, level: int, box: Box) -> bytes:
        return zlib.compress(self.viewed.store.confidence[level].read(box).tobytes(), 1)

    def nuclei_tile(self, level: int, col: int, row: int, measure: str) -> bytes:
        """Return the outlines that meet a tile of the slide's pyramid, with a measurement of each.

        Little-endian: the numbers of nuclei n, rings r and points p (uint32); for each nucleus its mean
        confidence, then its measurement (float32); where its rings start (uint32, n + 1); where each ring's
        points start (uint32, r + 1); the points, (x, y) in level-0 pixels from the tile's corner (float32).

        Raises
        ------
        LookupError
            If there is no such tile or measurement.
        """
        nuclei = self.viewed.nuclei
        if nuclei is None or level > self.outline_levels or measure not in MEASURE_NAMES:
            raise LookupError("no such nuclei")
        box = self.slide_pyramid.box(level, col, row)
        x0, y0, x1, y1 = (float(side << level) for side in box)
        rows, rings = nuclei.meeting(x0, y0, x1, y1)
        if level:
            rings = rings.thinned(2.0**level)
        return packed(rings, nuclei.confidence[rows], nuclei.column(measure)[rows], (x0, y0))

    def density_map(self, threshold: float) -> bytes:
        """Return shares of the highest density, one byte per bin, row by row."""
        if self.density is None:
            raise LookupError("no nuclei")
        return self.density.shares(threshold).tobytes()

    def nucleus_at(self, x_l0: float, y_l0: float, tolerance_l0: float) -> dict[str, Any] | None:
        """Return the nucleus at a point of the slide, or None."""
        nuclei = self.viewed.nuclei
        found = nuclei.at(x_l0, y_l0, tolerance_l0) if nuclei else None
        return self._told(found) if found else None

    def least_certain(self, rank: int) -> dict[str, Any]:
        """Return the nucleus with the `rank`-th lowest mean confidence."""
        if self.viewed.nuclei is None:
            raise LookupError("no nuclei")
        return self._told(self.viewed.nuclei.least_certain(rank))

    def _told(self, nucleus: Nucleus) -> dict[str, Any]:
        rings = nucleus.rings
        ends = zip(rings.ring_start[:-1], rings.ring_start[1:], strict=True)
        measures = {
            name: None if value is None or not math.isfinite(value) else value
            for name, value in nucleus.measures.items()
        }
        return {
            "measures": measures,
            "rings": [np.round(rings.points[start:end], 2).tolist() for start, end in ends],
        }

    @cached_property
    def density(self) -> Density | None:
        """The map of density."""
        if self.viewed.nuclei is None:
            return None
        backdrop = self.viewed.backdrop
        size = (backdrop.width_l0, backdrop.height_l0)
        return Density(self.viewed.nuclei, *size, self.viewed.mpp_l0, self.viewed.threshold)

    @property
    def outline_px_l0(self) -> float:
        """Level-0 pixels per pixel of the screen up to which outlines are shown."""
        return TYPICAL_NUCLEUS_UM / self.viewed.mpp_l0 / OUTLINE_FROM_PX

    @property
    def outline_levels(self) -> int:
        """The coarsest level at which outlines are shown."""
        level = math.ceil(math.log2(max(1.0, self.outline_px_l0)))
        return min(level, self.slide_pyramid.levels - 1)

    def facts(self) -> dict[str, Any]:
        """Return what the page must know before its first request."""
        viewed, frame = self.viewed, self.viewed.store.frame
        provenance = viewed.store.provenance
        return {
            "name": str(provenance.get("name", viewed.store.path.name)),
            "has_slide": viewed.slide is not None,
            "notes": list(viewed.notes),
            "width_l0": viewed.backdrop.width_l0,
            "height_l0": viewed.backdrop.height_l0,
            "mpp_l0": viewed.mpp_l0,
            "tile_px": TILE_PX,
            "levels": self.slide_pyramid.levels,
            "threshold": viewed.threshold,
            "threshold_u8": [threshold_u8(step / STEPS) if step else 0 for step in range(STEPS + 1)],
            "export": command_line("wsiseg", "export", self._store_as_typed, "--threshold"),
            "confidence": {
                "scale_l0": frame.scale_l0,
                "sizes": [image.shape[::-1] for image in viewed.store.confidence],
            },
            "tissue": [line.tolist() for line in self._tissue_outlines()],
            "failures": [self._failed_box(failure) for failure in provenance.get("failures", ())],
            "nuclei": self._nuclei_facts(),
        }

    def _nuclei_facts(self) -> dict[str, Any] | None:
        nuclei, density = self.viewed.nuclei, self.density
        if nuclei is None or density is None:
            return None
        thresholds = [step / STEPS for step in range(STEPS + 1)]
        rows, cols = density.shape
        return {
            "count": len(nuclei),
            "counts": [int(keeps(nuclei, t, self.viewed.threshold).sum()) for t in thresholds],
            "outline_levels": self.outline_levels,
            "outline_px_l0": self.outline_px_l0,
            "units": nuclei.units,
            "measures": [
                {"column": column, "name": name, "range": self._range(column)}
                for column, name in MEASURE_NAMES.items()
                if column in nuclei.units
            ],
            "density": {
                "rows": rows, "cols": cols, "bin_l0": density.bin_l0, "highest": density.highest_per_mm2,
            },
        }  # fmt: skip

    def _range(self, column: str) -> list[float]:
        """Return what most values of a measurement lie between."""
        assert self.viewed.nuclei is not None
        values = self.viewed.nuclei.column(column)
        values = values[np.isfinite(values)]
        return [float(v) for v in np.percentile(values, (2, 98))] if len(values) else [0.0, 1.0]

    def _tissue_outlines(self) -> list[NDArray[np.float64]]:
        backdrop = self.viewed.backdrop
        step_l0 = max(backdrop.width_l0, backdrop.height_l0) / TISSUE_DETAIL_PX
        outlines = []
        for line in self.viewed.store.tissue.outlines_l0():
            cells = np.floor(line / step_l0)
            keep = np.append(True, (cells[1:] != cells[:-1]).any(axis=1))
            outlines.append(np.round(line[keep]))
        return outlines

    def _failed_box(self, failure: dict[str, Any]) -> dict[str, Any]:
        frame = self.viewed.store.frame
        core = Grid(frame.width, frame.height, SHARD_PX).tile(int(failure["row"]), int(failure["col"])).core
        return {"box_l0": [round(side * frame.scale_l0) for side in core], "cause": str(failure["cause"])}


def packed(
    rings: NucleusRings,
    confidence: NDArray[np.float32],
    values: NDArray[np.float32],
    corner_l0: tuple[float, float],
) -> bytes:
    """Return outlines as `Content.nuclei_tile` describes them."""
    header = np.array([len(rings), len(rings.ring_start) - 1, len(rings.points)], "<u4")
    points = rings.points - np.array(corner_l0, np.float32)
    parts = [
        header,
        confidence.astype("<f4"),
        values.astype("<f4"),
        rings.nucleus_start.astype("<u4"),
        rings.ring_start.astype("<u4"),
        points.astype("<f4"),
    ]
    return b"".join(part.tobytes() for part in parts)


def hatched(box: Box) -> NDArray[np.uint8]:
    """Return the picture of a place that cannot be decoded: red stripes, which no tissue has."""
    y, x = np.mgrid[box.y0 : box.y1, box.x0 : box.x1]
    rgb = np.full((box.height, box.width, 3), 235, np.uint8)
    rgb[(x + y) % 24 < 4] = (200, 60, 60)
    return rgb
