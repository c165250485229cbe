"""Slides through OpenSlide: SVS, NDPI, MRXS, SCN, BIF, VMS, DICOM, tiled TIFF.

OpenSlide is asked in level-0 pixels. On a level whose downsample is no whole number it blends neighbouring
pixels, differently for every place asked for. Such levels are decoded from the TIFF itself where it is one;
otherwise they are read in fixed cells, so that a pixel is the same whatever region is asked for.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import openslide
from numpy.typing import NDArray

from wsiseg.errors import SlideError
from wsiseg.slides import dicom, files
from wsiseg.slides.compose import over_white
from wsiseg.slides.facts import Facts, credible_mpp, snapped_downsamples
from wsiseg.slides.reader import Slide
from wsiseg.slides.tiles import Box, Grid

CELL_PX = 1024
MAX_TILE_PX = 2**26
TIFF_VENDORS = ("aperio", "generic-tiff", "trestle")


class OpenSlideSlide(Slide):
    """A slide that OpenSlide opens; threads share one handle, which OpenSlide allows."""

    reader = "openslide"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._blended: dict[int, Slide | None] = {}

    def _open(self) -> openslide.OpenSlide:
        if files.is_url(self.path):
            raise SlideError(self.path, "reads local files only")
        path = self.path
        if os.path.isdir(path):
            path = dicom.first_instance(path)
        if dicom.is_dicom(path):
            dicom.check_series(path)
        return openslide.OpenSlide(path)

    def _describe(self, handle: Any) -> Facts:
        properties = dict(handle.properties)
        for level in range(handle.level_count):
            tile = (
                properties.get(f"openslide.level[{level}].tile-{side}", "0") for side in ("width", "height")
            )
            tile_w, tile_h = (int(v) for v in tile)
            if tile_w * tile_h > MAX_TILE_PX:
                raise SlideError(self.path, f"its tiles are {tile_w} x {tile_h} pixels, too large to decode")
        # OpenSlide passes over what is no number; the header's own words tell why there is none
        said = properties.get("aperio.MPP")
        mpp, warnings = credible_mpp(
            properties.get(openslide.PROPERTY_NAME_MPP_X, said),
            properties.get(openslide.PROPERTY_NAME_MPP_Y, said),
        )
        dims = handle.level_dimensions
        return Facts(dims, snapped_downsamples(dims), mpp, properties, warnings)

    def _tiff(self, level: int) -> Slide | None:
        """Return the same level through the TIFF reader, None where that is not the same."""
        if level not in self._blended:
            from wsiseg.slides.tiffslide_reader import TiffSlideSlide

            other: Slide | None = None
            if self.properties.get(openslide.PROPERTY_NAME_VENDOR) in TIFF_VENDORS:
                other = TiffSlideSlide(self.path)
                try:
                    other = other if other.level_dimensions == self.level_dimensions else None
                except SlideError:
                    other = None
            self._blended[level] = other
        return self._blended[level]

    def _read(self, box: Box, level: int) -> NDArray[np.uint8]:
        downsample = self._current().level_downsamples[level]
        if downsample == round(downsample):
            return self._read_exact(box, level)
        tiff = self._tiff(level)
        if tiff is not None:
            return tiff._read(box, level)
        out = np.empty((box.height, box.width, 3), np.uint8)
        for cell in Grid(*self.level_dimensions[level], CELL_PX).meeting(box):
            part = cell.core.clipped(box)
            out[part.slices_in(box)] = self._read_exact(cell.core, level)[part.slices_in(cell.core)]
        return out

    def close(self) -> None:
        """Let go of the open file; a later read opens it again."""
        super().close()
        self._blended = {}

    def _read_exact(self, box: Box, level: int) -> NDArray[np.uint8]:
        handle = self._current()
        try:
            return _region(handle, box, level)
        except openslide.OpenSlideError:
            pass
        # one failed read spoils an OpenSlide handle for good, for every thread: try again with a fresh one
        with self._lock:
            if self._handle is handle:
                self._handle = None
        fresh = self._open()
        pixels = _region(fresh, box, level)
        with self._lock:
            self._handle = self._handle or fresh
        return pixels


def _region(handle: openslide.OpenSlide, box: Box, level: int) -> NDArray[np.uint8]:
    x_l0 = round(box.x0 * handle.level_downsamples[level])
    y_l0 = round(box.y0 * handle.level_downsamples[level])
    return over_white(np.asarray(handle.read_region((x_l0, y_l0), level, (box.width, box.height))))
