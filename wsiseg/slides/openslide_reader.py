"""Slides through OpenSlide: SVS, NDPI, MRXS, SCN, BIF, VMS, DICOM, tiled TIFF.

OpenSlide is asked in level-0 pixels. On a level whose downsample is no whole number it blends neighbouring
pixels, differently for every place asked for. Such levels are decoded from the TIFF itself where it is one;
otherwise they are read in fixed cells, so that a pixel is the same whatever region is asked for.
Other levels of a TIFF are decoded from it too where that gives the same pixels: it takes a third of the time.

What the TIFF refuses stays refused, JPEG apart: OpenSlide makes pixels up for JPEG 2000 that is cut off, and
does not look at the checksums of deflate.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import openslide
from numpy.typing import NDArray

from wsiseg.errors import SlideError
from wsiseg.slides import dicom, files
from wsiseg.slides.compose import over_white
from wsiseg.slides.facts import Facts, credible_mpp, snapped_downsamples
from wsiseg.slides.reader import Slide
from wsiseg.slides.segments import check_tables
from wsiseg.tiles import Box, Grid

if TYPE_CHECKING:
    from wsiseg.slides.tiffslide_reader import TiffSlideSlide

CELL_PX = 1024
MAX_TILE_PX = 2**26
TIFF_VENDORS = ("aperio", "generic-tiff", "trestle")
# Side of the square that both ways must decode alike, and where it may be as shares of a level's sides.
PROBE_PX = 256
PROBES = ((0.5, 0.5), (0.25, 0.25), (0.75, 0.75), (0.25, 0.75), (0.75, 0.25))


class OpenSlideSlide(Slide):
    """A slide that OpenSlide opens; threads share one handle, which OpenSlide allows."""

    reader = "openslide"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._tiff: TiffSlideSlide | None = None
        self._tiff_tried = False
        self._alike: dict[int, bool] = {}

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

    def _same_tiff(self) -> TiffSlideSlide | None:
        """Return the slide through the TIFF reader, None where that has other levels or cannot open it."""
        with self._lock:
            if not self._tiff_tried:
                from wsiseg.slides.tiffslide_reader import TiffSlideSlide

                if self.properties.get(openslide.PROPERTY_NAME_VENDOR) in TIFF_VENDORS:
                    other = TiffSlideSlide(self.path, cut_off_too=True)
                    other.kept_bytes = self.kept_bytes
                    with contextlib.suppress(SlideError):
                        self._tiff = other if other.level_dimensions == self.level_dimensions else None
                if self._tiff is None and os.path.isfile(self.path):
                    check_tables(self.path)
                self._tiff_tried = True
            return self._tiff

    def _decodes_alike(self, tiff: TiffSlideSlide, level: int) -> bool:
        """Whether both ways give the same pixels, at the first place of five that is not damaged."""
        with self._lock:
            if level not in self._alike:
                self._alike[level] = not self._is_exact(level) or self._probed(tiff, level)
            return self._alike[level]

    def _probed(self, tiff: TiffSlideSlide, level: int) -> bool:
        width, height = self.level_dimensions[level]
        for x, y in PROBES:
            x0, y0 = int(max(0, width - PROBE_PX) * x), int(max(0, height - PROBE_PX) * y)
            box = Box(x0, y0, min(x0 + PROBE_PX, width), min(y0 + PROBE_PX, height))
            try:
                return np.array_equal(tiff._read(box, level), self._read_exact(box, level))
            except Exception:
                continue
        return False

    def _is_exact(self, level: int) -> bool:
        """Whether OpenSlide copies the pixels of a level as they are."""
        downsample = self._current().level_downsamples[level]
        return bool(downsample == round(downsample))

    def _read(self, box: Box, level: int) -> NDArray[np.uint8]:
        exact, tiff = self._is_exact(level), self._same_tiff()
        if tiff is not None:
            page = tiff.page(level)
            if self._decodes_alike(tiff, level):
                try:
                    return tiff._read(box, level)
                except Exception:
                    # OpenSlide has the last word on JPEG: it hears libjpeg's warnings
                    if not (exact and page.is_jpeg):
                        raise
            page.check_streams(box)
        if exact:
            return self._read_exact(box, level)
        out = np.empty((box.height, box.width, 3), np.uint8)
        for cell in Grid(*self.level_dimensions[level], CELL_PX).meeting(box):
            part = cell.core.clipped(box)
            out[part.slices_in(box)] = self._read_exact(cell.core, level)[part.slices_in(cell.core)]
        return out

    def close(self) -> None:
        """Let go of the open file; a later read opens it again."""
        super().close()
        self._tiff, self._tiff_tried, self._alike = None, False, {}

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
