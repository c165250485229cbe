"""Slides through tiffslide: plain and OME-TIFF, and anything TIFF behind a URL.

tiffslide parses the headers; tiles are decoded here one by one, because a tile that cannot be decoded must
raise, and because one open file then serves all threads.
"""

from __future__ import annotations

import logging
import threading
import weakref
from typing import Any

import numpy as np
import tiffslide
from numpy.typing import NDArray

from wsiseg.slides.facts import Facts, credible_mpp, snapped_downsamples
from wsiseg.slides.reader import Slide
from wsiseg.slides.segments import SegmentedPage, UnsupportedPageError
from wsiseg.tiles import Box


class TiffHandle:
    """An open TIFF with its pyramid.

    Parameters
    ----------
    path : str
        Path or fsspec URL.
    """

    def __init__(self, path: str) -> None:
        # what tifffile logs about a damaged file is reported by the errors that follow
        logging.getLogger("tifffile").setLevel(logging.CRITICAL)
        self.slide = tiffslide.TiffSlide(path)
        try:
            self.file = self.slide.ts_tifffile
            self.properties = self.slide.properties
            if self.properties.get("tiffslide.series-composition") is not None:
                raise UnsupportedPageError("it is composed of several scans; OpenSlide reads those")
            series = self.file.series[self.properties["tiffslide.series-index"]]
            lock, pages = threading.Lock(), [one_page(level) for level in series.levels]
            self.levels = [SegmentedPage(page, lock) for page in pages]
            self.dimensions = tuple((int(page.imagewidth), int(page.imagelength)) for page in pages)
        except BaseException:
            self.slide.close()
            raise
        # the last thread that reads lets go of the file, whenever that is
        weakref.finalize(self, self.file.close)


def one_page(series: Any) -> Any:
    """Return the only page of a level.

    Raises
    ------
    UnsupportedPageError
        When it has several: channels, focal planes, time points.
    """
    if len(series.pages) != 1 or series.pages[0] is None:
        raise UnsupportedPageError(f"it has {len(series.pages)} planes ({series.axes}), not one RGB image")
    return series.pages[0].aspage()


class TiffSlideSlide(Slide):
    """A slide that tiffslide opens.

    Parameters
    ----------
    path : str
        Path or URL.
    cut_off_too : bool
        Whether a file that is cut off is opened for the tiles that are there.
    """

    reader = "tiffslide"

    def __init__(self, path: str, cut_off_too: bool = False) -> None:
        super().__init__(path)
        self._cut_off_too = cut_off_too

    def _open(self) -> TiffHandle:
        return TiffHandle(self.path)

    def _describe(self, handle: Any) -> Facts:
        if not self._cut_off_too:
            for page in handle.levels:
                page.check_inside_file()
        properties = {k: str(v) for k, v in handle.properties.items() if v is not None}
        mpp, warnings = credible_mpp(*stated_mpp(handle))
        dims = handle.dimensions
        return Facts(dims, snapped_downsamples(dims), mpp, properties, warnings)

    def page(self, level: int) -> SegmentedPage:
        """Return the tiles of a level."""
        return self._page(self._current(), level)

    def _read(self, box: Box, level: int) -> NDArray[np.uint8]:
        # this reference keeps the file open while another thread closes the slide
        handle = self._current()
        return self._page(handle, level).read(box)

    def _page(self, handle: TiffHandle, level: int) -> SegmentedPage:
        page = handle.levels[level]
        page.kept_bytes = self.kept_bytes
        return page


def stated_mpp(handle: TiffHandle) -> tuple[object, object]:
    """Return what the file says about micrometres per pixel in x and y, None where nothing.

    OME-XML first, then ImageJ's unit, then the vendor's header or the resolution tags.
    """
    if handle.file.is_ome:
        from defusedxml import DefusedXmlException, ElementTree

        try:
            root = ElementTree.fromstring(handle.file.ome_metadata)
        except DefusedXmlException:
            raise ValueError("its OME-XML declares entities, which are refused") from None
        pixels = next((e for e in root.iter() if e.tag.rpartition("}")[2] == "Pixels"), None)
        if pixels is not None and "PhysicalSizeX" in pixels.attrib:
            return tuple(_in_um(pixels, f"PhysicalSize{axis}") for axis in "XY")  # type: ignore[return-value]
    imagej = handle.file.imagej_metadata or {}
    if str(imagej.get("unit", "")).strip().lower() in ("micron", "um", "\u00b5m", "\\u00b5m", "microns"):
        tags = handle.file.pages.first.tags
        px_per_um = [tags.valueof(code) for code in (282, 283)]
        if all(isinstance(v, tuple) and v[0] for v in px_per_um):
            return tuple(v[1] / v[0] for v in px_per_um)
    return handle.properties.get("tiffslide.mpp-x"), handle.properties.get("tiffslide.mpp-y")


def _in_um(pixels: Any, name: str) -> object:
    units = {"nm": 1e-3, "\u00b5m": 1.0, "\u03bcm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}
    value = pixels.attrib.get(name)
    factor = units.get(pixels.attrib.get(f"{name}Unit", "um"))
    try:
        return None if value is None or factor is None else float(value) * factor
    except ValueError:
        return value
