"""Which page of a TIFF is level 0, which are its levels, how its pixels are meant: one rule for all readers.

Level 0 is the largest image of the file. Its levels are what the format says (SubIFDs, a scanner's pages) or
the pages marked as reduced, if their sides follow from level 0 by one factor. Red, green and blue may be
planes of one page or pages of their own. Stacks and other channels are refused: nobody can tell which is
wanted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from wsiseg.slides.levels import counted_levels
from wsiseg.slides.orientation import UPRIGHT
from wsiseg.slides.resolution import Statement
from wsiseg.slides.tiff_pixels import COLOURS, nameless_samples
from wsiseg.slides.tiff_resolution import ome_pixels, tiff_statements

ORIENTATION = 274
MAX_PAGES = 64
GREY = (0, 1)
RGB_NAMES = re.compile(r"^(r|red|g|green|b|blue|channel\W*\d*|c\d+|\d+|)$", re.IGNORECASE)
DECLARED = ("ome", "imagej", "ndpi", "qpi", "lsm", "stk", "fluoview", "nih", "mmstack", "micromanager")


class UnsupportedPageError(Exception):
    """A TIFF page is not 8-bit RGB, or its tiles are absurd; the message says what it is."""


@dataclass(frozen=True)
class TiffLayout:
    """What a TIFF holds, as it is meant.

    Parameters
    ----------
    levels : tuple of tuple of tifffile.TiffPage
        The page of each level that counts, finest first; three where red, green and blue have their own.
    orientation : int
        How the pixels are stored (tag 274).
    statements : tuple of Statement
        What it says about its resolution.
    warnings : tuple of str
        What is left out, in words.
    """

    levels: tuple[tuple[Any, ...], ...]
    orientation: int
    statements: tuple[Statement, ...]
    warnings: tuple[str, ...]

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(width, height) of each level as stored."""
        return tuple(_size(planes[0]) for planes in self.levels)

    @property
    def beyond_openslide(self) -> str:
        """What OpenSlide would read wrongly, in words; empty where nothing."""
        first = self.levels[0][0]
        if self.orientation != UPRIGHT:
            return f"its orientation tag is {self.orientation}, which OpenSlide applies tile by tile"
        if nameless_samples(first):
            return "it has samples that are neither colour nor alpha, which OpenSlide takes for alpha"
        if len(self.levels[0]) > 1:
            return "its colours are pages of their own, of which OpenSlide reads one"
        if first.photometric not in COLOURS:
            name = getattr(first.photometric, "name", first.photometric)
            return f"its colours are {name}, which OpenSlide takes for RGB; convert it to RGB"
        return ""


def read_layout(tiff: Any) -> TiffLayout:
    """Return which pages of a TIFF are its levels.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The open file.

    Raises
    ------
    UnsupportedPageError
        For stacks and channels.
    Exception
        Whatever tifffile raises for a damaged file.
    """
    series = max(tiff.series, key=lambda each: _area(each.levels[0].pages[0]))
    remarks: list[str] = []
    levels = [_planes(tiff, series, level, remarks) for level in series.levels]
    first = levels[0][0]
    if not (tiff.is_ome or tiff.is_svs):
        known = {page.offset for planes in levels for page in planes}
        levels += [(page,) for page in _reduced(tiff, first) if page.offset not in known]
        levels[1:] = sorted(levels[1:], key=lambda planes: _area(planes[0]), reverse=True)
    if _size(first) != _size(tiff.pages.first) and not tiff.is_scn:
        width, height = _size(tiff.pages.first)
        remarks.append(
            f"its first picture ({width} x {height}) is left out: the largest of the file was taken"
        )
    kept, left_out = counted_levels([_size(planes[0]) for planes in levels])
    orientation = first.tags.valueof(ORIENTATION)
    return TiffLayout(
        levels=tuple(levels[k] for k in kept),
        orientation=orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else UPRIGHT,
        statements=tiff_statements(tiff, first),
        warnings=(*remarks, *left_out, *_nameless(first)),
    )


def _size(page: Any) -> tuple[int, int]:
    return int(page.imagewidth), int(page.imagelength)


def _area(page: Any) -> int:
    # damaged headers have several numbers where one belongs; they are refused by the check of the page
    sides = (page.imagewidth, page.imagelength) if page is not None else (0, 0)
    return sides[0] * sides[1] if all(isinstance(side, int) for side in sides) else 0


def _planes(tiff: Any, series: Any, level: Any, remarks: list[str]) -> tuple[Any, ...]:
    """Return the page of a level, or its three."""
    pages = level.pages
    if any(page is None for page in pages):
        raise UnsupportedPageError("pages of it are missing (is it one of several files?)")
    counts = dict(zip(level.axes, level.shape, strict=True))
    colours = counts.pop("C", 1)
    stack = 1
    for axis, count in counts.items():
        stack *= count if axis not in "YXS" else 1
    first = pages[0].aspage()
    if colours == 3 and stack == 1 and len(pages) == 3 and first.samplesperpixel == 1:
        _check_names(tiff, first)
        if level is series.levels[0]:
            remarks.append("its three planes were taken as red, green and blue")
        return tuple(page.aspage() for page in pages)
    if colours * stack == 1:
        return (first,)
    declared = series.kind in DECLARED or colours > 1 or "Z" in level.axes or "T" in level.axes
    if declared or first.photometric in GREY:
        raise UnsupportedPageError(
            f"it has {colours * stack} planes ({level.axes}), not one RGB image; save the plane that you "
            "want, or the colours as RGB, as a file of its own"
        )
    if level is series.levels[0]:
        remarks.append(f"it has {stack} pages of the same size; only the first is read")
    return (first,)


def _check_names(tiff: Any, page: Any) -> None:
    """Refuse three planes whose names are no colours: a multiplexed image is no H&E."""
    pixels, _ = ome_pixels(tiff, page)
    every = [] if pixels is None else [e for e in pixels if e.tag.rpartition("}")[2] == "Channel"]
    names = [e.get("Name") or "" for e in every]
    if not all(RGB_NAMES.match(name.strip()) for name in names):
        raise UnsupportedPageError(f"it has 3 planes ({', '.join(names)[:80]}), not red, green and blue")


def _reduced(tiff: Any, first: Any) -> list[Any]:
    """Return the other pages that say they are level 0 made smaller."""
    found = []
    for number in range(1, min(len(tiff.pages), MAX_PAGES)):
        page = tiff.pages[number].aspage()
        if page.is_reduced and page.offset != first.offset and page.photometric in (first.photometric, 2, 6):
            found.append(page)
    return found


def _nameless(page: Any) -> tuple[str, ...]:
    count = nameless_samples(page)
    return (f"{count} of its samples per pixel, neither colour nor alpha, are left out",) if count else ()
