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
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import openslide
from numpy.typing import NDArray

from wsiseg.errors import SlideError
from wsiseg.slides import dicom, files
from wsiseg.slides.compose import over_white
from wsiseg.slides.facts import Facts
from wsiseg.slides.levels import counted_levels
from wsiseg.slides.resolution import Statement
from wsiseg.slides.segments import check_tables
from wsiseg.slides.slide import Slide
from wsiseg.slides.tiff_layout import TiffLayout, UnsupportedPageError, read_layout
from wsiseg.slides.tiff_resolution import FROM_TAGS
from wsiseg.tiles import Box, Grid

if TYPE_CHECKING:
    from wsiseg.slides.tiffslide_reader import TiffSlideSlide

CELL_PX = 1024
MAX_TILE_PX = 2**26
TIFF_VENDORS = ("aperio", "generic-tiff", "trestle")
# Their objective power leaves out what lies between objective and camera.
ADAPTED_VENDORS = ("mirax",)
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
        # OpenSlide's number of each level that counts, and whether its pixels are YCbCr that it takes for RGB
        self._levels: tuple[int, ...] = ()
        self._is_ycbcr = False

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
        vendor = properties.get(openslide.PROPERTY_NAME_VENDOR, "")
        layout = self._tiff_layout(handle) if vendor in TIFF_VENDORS else None
        warnings: tuple[str, ...] = () if layout is None else layout.warnings
        refusal = ""
        if vendor == "dicom":
            self._is_ycbcr, warnings = dicom.check_pixels(self._one_file)
            refusal = dicom.missing_level(self._one_file)
        self._levels, left_out = counted_levels(handle.level_dimensions)
        return Facts(
            tuple(handle.level_dimensions[k] for k in self._levels),
            _statements(properties, vendor, layout),
            properties,
            tuple(dict.fromkeys((*warnings, *left_out, *_focus(properties), *_offset(_bounds(properties))))),
            bounds=_bounds(properties),
            refusal=refusal,
        )

    @property
    def _one_file(self) -> str:
        return dicom.first_instance(self.path) if os.path.isdir(self.path) else self.path

    def _tiff_layout(self, handle: Any) -> TiffLayout | None:
        """Return what the TIFF holds; None where tifffile cannot tell.

        Raises
        ------
        SlideError
            Where OpenSlide reads it otherwise than it is meant.
        """
        import tifffile

        logging.getLogger("tifffile").setLevel(logging.CRITICAL)
        try:
            with tifffile.TiffFile(self.path) as tiff:
                layout = read_layout(tiff)
                wrong = layout.beyond_openslide
        except UnsupportedPageError as error:
            raise SlideError(self.path, str(error)) from None
        except Exception:
            # a damaged one: OpenSlide may open what is left
            return None
        (width, height), (width0, height0) = layout.sizes[0], handle.dimensions
        if not wrong and width * height > width0 * height0:
            wrong = f"its largest picture is {width} x {height}, OpenSlide takes one of {width0} x {height0}"
        if wrong:
            raise SlideError(self.path, wrong)
        return layout

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
        downsample = self._current().level_downsamples[self._levels[level]]
        return bool(downsample == round(downsample))

    def _read(self, box: Box, level: int) -> NDArray[np.uint8]:
        exact, tiff = self._is_exact(level), self._same_tiff()
        if tiff is not None:
            page = tiff.page(level)
            if self._decodes_alike(tiff, level):
                try:
                    return tiff._read(box, level)
                except Exception:
                    # OpenSlide decides on JPEG: it receives libjpeg's warnings
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
        """Close the file; a later read reopens it."""
        super().close()
        self._tiff, self._tiff_tried, self._alike = None, False, {}

    def _read_exact(self, box: Box, level: int) -> NDArray[np.uint8]:
        handle = self._current()
        try:
            return self._region(handle, box, level)
        except openslide.OpenSlideError:
            pass
        # a failed read makes an OpenSlide handle unusable for every thread: retry with a new one
        with self._lock:
            if self._handle is handle:
                self._handle = None
        fresh = self._open()
        pixels = self._region(fresh, box, level)
        with self._lock:
            self._handle = self._handle or fresh
        return pixels

    def _region(self, handle: openslide.OpenSlide, box: Box, level: int) -> NDArray[np.uint8]:
        number = self._levels[level]
        downsample = handle.level_downsamples[number]
        place = (round(box.x0 * downsample), round(box.y0 * downsample))
        rgba = np.asarray(handle.read_region(place, number, (box.width, box.height)))
        return over_white(dicom.from_ycbcr(rgba) if self._is_ycbcr else rgba)


def _statements(
    properties: Mapping[str, str], vendor: str, layout: TiffLayout | None
) -> tuple[Statement, ...]:
    """Return what a slide says about its resolution, through OpenSlide and in the TIFF that it may be."""
    said = () if layout is None else layout.statements
    if vendor != "generic-tiff" or layout is None:
        name = FROM_TAGS if vendor == "generic-tiff" else f"its {vendor} header"
        # OpenSlide passes over what is no number; the header's own words tell why there is none
        text = properties.get("aperio.MPP")
        x, y = (properties.get(f"openslide.mpp-{axis}", text) for axis in "xy")
        header = Statement.of(name, x, y)
        said = (*(() if header is None else (header,)), *(s for s in said if s.source != "its header"))
    if vendor not in ADAPTED_VENDORS and not any(s.is_nominal for s in said):
        power = Statement.of_power(properties.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER))
        said = said if power is None else (*said, power)
    return said


def _focus(properties: Mapping[str, str]) -> tuple[str, ...]:
    """Return the remark that an MRXS with several focus levels deserves, of which OpenSlide reads one."""
    for key, name in properties.items():
        count = properties.get(f"{key.removesuffix('_NAME')}_COUNT", "1")
        if key.startswith("mirax.") and "focus" in name.lower() and count.isdigit() and int(count) > 1:
            return (f"it has {count} focus levels; only the first is read",)
    return ()


def _offset(bounds: tuple[int, int, int, int] | None) -> tuple[str, ...]:
    """Return the remark that a slide deserves whose scan does not begin at its corner."""
    if bounds is None or bounds[:2] == (0, 0):
        return ()
    return (
        f"its scan begins at x {bounds[0]}, y {bounds[1]}: QuPath counts from there, wsiseg from the slide's "
        "corner unless told --origin scan",
    )


def _bounds(properties: Mapping[str, str]) -> tuple[int, int, int, int] | None:
    try:
        x, y, width, height = (
            int(properties[f"openslide.bounds-{part}"]) for part in ("x", "y", "width", "height")
        )
    except (KeyError, ValueError):
        return None
    return x, y, width, height
