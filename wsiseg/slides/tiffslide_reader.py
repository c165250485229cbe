"""Slides through tiffslide: plain and OME-TIFF, and anything TIFF behind a URL.

tiffslide parses the headers; tiles are decoded here one by one, because a tile that cannot be decoded must
raise, and because one open file then serves all threads.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
import tiffslide
from numpy.typing import NDArray

from wsiseg.slides.facts import Facts
from wsiseg.slides.orientation import shown_size
from wsiseg.slides.resolution import Statement
from wsiseg.slides.segments import SegmentedPage
from wsiseg.slides.slide import Slide
from wsiseg.slides.tiff_layout import TiffLayout, UnsupportedPageError, read_layout
from wsiseg.slides.tiff_resolution import FROM_TAGS, description
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
            try:
                self.properties = self.slide.properties
            except NotImplementedError:
                # planes and pages that tiffslide has no word for; their layout is read below
                self.properties = {"tiff.ImageDescription": description(self.file)}
            if self.properties.get("tiffslide.series-composition") is not None:
                raise UnsupportedPageError("it is composed of several scans; OpenSlide reads those")
            lock, self.layout = threading.Lock(), read_layout(self.file)
            self.levels = [SegmentedPage(planes, lock) for planes in self.layout.levels]
        except BaseException:
            self.slide.close()
            raise
        # the last thread that reads lets go of the file, whenever that is
        weakref.finalize(self, self.file.close)


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
        layout: TiffLayout = handle.layout
        return Facts(
            tuple(shown_size(size, layout.orientation) for size in layout.sizes),
            _with_header(layout, properties),
            properties,
            layout.warnings,
            layout.orientation,
        )

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


def _with_header(layout: TiffLayout, properties: Mapping[str, str]) -> tuple[Statement, ...]:
    """Return what the file says, with what tiffslide finds in a scanner's own header before the tags."""
    found = Statement.of("its header", *(properties.get(f"tiffslide.mpp-{axis}") for axis in "xy"))
    known = layout.statements
    if found is None or any(not s.is_nominal and s.mpp_x == found.mpp_x for s in known):
        return known
    before = [s for s in known if s.source != FROM_TAGS and not s.is_nominal]
    return (*before, found, *(s for s in known if s not in before))
