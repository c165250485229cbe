"""Slides through OpenSlide: SVS, NDPI, MRXS, SCN, BIF, VMS, DICOM, tiled TIFF."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import openslide
from numpy.typing import NDArray

from wsiseg.errors import SlideError
from wsiseg.slides import files
from wsiseg.slides.compose import over_white
from wsiseg.slides.reader import MAX_SEGMENT_PX, Facts, Slide, credible_mpp, snapped_downsamples
from wsiseg.slides.tiles import Box


class OpenSlideSlide(Slide):
    """A slide that OpenSlide opens; threads share one handle, which OpenSlide allows."""

    reader = "openslide"

    def _open(self) -> openslide.OpenSlide:
        if files.is_url(self.path):
            raise SlideError(self.path, "reads local files only")
        path = self.path
        if os.path.isdir(path):
            from wsiseg.slides.dicom import first_instance

            path = first_instance(path)
        return openslide.OpenSlide(path)

    def _describe(self, handle: Any) -> Facts:
        properties = dict(handle.properties)
        for level in range(handle.level_count):
            tile = (properties.get(f"openslide.level[{level}].tile-{side}", "0") for side in ("width", "height"))
            tile_w, tile_h = (int(v) for v in tile)
            if tile_w * tile_h > MAX_SEGMENT_PX:
                raise SlideError(self.path, f"its tiles are {tile_w} x {tile_h} pixels, too large to decode")
        mpp, warnings = credible_mpp(
            properties.get(openslide.PROPERTY_NAME_MPP_X), properties.get(openslide.PROPERTY_NAME_MPP_Y)
        )
        dims = handle.level_dimensions
        return Facts(dims, snapped_downsamples(dims), mpp, properties, warnings)

    def _read(self, box: Box, level: int) -> NDArray[np.uint8]:
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
