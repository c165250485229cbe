"""What a TIFF says about micrometres per pixel: OME-XML, ImageJ, the scanner's header, resolution tags."""

from __future__ import annotations

import re
from typing import Any

from wsiseg.slides.resolution import Statement

UM = {
    "nm": 1e-3, "nanometer": 1e-3, "um": 1.0, "\u00b5m": 1.0, "\u03bcm": 1.0, "\\u00b5m": 1.0, "micron": 1.0,
    "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0, "mm": 1e3, "millimeter": 1e3, "cm": 1e4,
    "centimeter": 1e4, "m": 1e6, "meter": 1e6, "inch": 25400.0, "in": 25400.0, "\u00c5": 1e-4,
}  # fmt: skip
# ResolutionUnit (TIFF 6.0, and tifffile's names for two private values)
TAG_UM = {2: 25400.0, 3: 10000.0, 4: 1000.0, 5: 1.0}
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
HEADER_MPP = re.compile(r"\bMPP\s*=\s*([^|;\r\n]*)", re.IGNORECASE)
HEADER_POWER = re.compile(r"\b(?:AppMag|Objective\w*|NominalMagnification)\s*=\s*\"?([\d.]+)", re.IGNORECASE)
FROM_TAGS = "its resolution tag"


def tiff_statements(tiff: Any, page: Any) -> tuple[Statement, ...]:
    """Return all that a TIFF says about the resolution of one of its pages, the most trustworthy first.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The open file.
    page : tifffile.TiffPage
        Level 0.

    Raises
    ------
    ValueError
        When its OME-XML declares entities.
    """
    text = description(tiff)
    said = [*_ome(tiff, page), _imagej(tiff, page), _header(text), _tags(page)]
    if not any(s is not None and s.is_nominal for s in said):
        found = HEADER_POWER.search(text)
        said.append(Statement.of_power(found.group(1)) if found else None)
    return tuple(s for s in said if s is not None)


def description(tiff: Any) -> str:
    """Return the ImageDescription of the first page as text."""
    value = tiff.pages.first.tags.valueof(270)
    return value if isinstance(value, str) else ""


def ome_pixels(tiff: Any, page: Any) -> Any:
    """Return the Pixels element of OME-XML that describes a page, and its root; None where there is none.

    Raises
    ------
    ValueError
        When the OME-XML declares entities.
    """
    if not tiff.is_ome:
        return None, None
    from defusedxml import DefusedXmlException, ElementTree

    try:
        root = ElementTree.fromstring(tiff.ome_metadata)
    except DefusedXmlException:
        raise ValueError("its OME-XML declares entities, which are refused") from None
    every = [e for e in root.iter() if e.tag.rpartition("}")[2] == "Pixels"]
    size = (str(page.imagewidth), str(page.imagelength))
    fitting = [e for e in every if (e.get("SizeX"), e.get("SizeY")) == size]
    return next(iter(fitting or every[:1]), None), root


def _ome(tiff: Any, page: Any) -> list[Statement | None]:
    pixels, root = ome_pixels(tiff, page)
    if pixels is None:
        return []
    size = Statement.of("its OME-XML", *(_in_um(pixels, f"PhysicalSize{axis}") for axis in "XY"))
    powers = [e.get("NominalMagnification") for e in root.iter() if e.tag.rpartition("}")[2] == "Objective"]
    return [size, Statement.of_power(powers[0]) if len(set(powers)) == 1 else None]


def _in_um(pixels: Any, name: str) -> object:
    value = pixels.attrib.get(name)
    factor = UM.get(pixels.attrib.get(f"{name}Unit", "um"))
    try:
        return None if value is None or factor is None else float(value) * factor
    except ValueError:
        return value


def _imagej(tiff: Any, page: Any) -> Statement | None:
    unit = str((tiff.imagej_metadata or {}).get("unit", "")).strip().lower()
    return None if unit not in UM else Statement.of("ImageJ's unit", *_per_pixel(page, UM[unit]))


def _header(text: str) -> Statement | None:
    found = HEADER_MPP.search(text)
    return Statement.of("its header", found.group(1).strip()) if found else None


def _tags(page: Any) -> Statement | None:
    unit = TAG_UM.get(page.tags.valueof(RESOLUTION_UNIT))
    return None if unit is None else Statement.of(FROM_TAGS, *_per_pixel(page, unit))


def _per_pixel(page: Any, unit_um: float) -> tuple[object, object]:
    """Return micrometres per pixel in x and y from pixels per unit; None where the tags do not say it."""
    values = [page.tags.valueof(code) for code in (X_RESOLUTION, Y_RESOLUTION)]
    if not all(isinstance(v, tuple) and len(v) == 2 and v[0] and v[1] for v in values):
        return None, None
    return unit_um * values[0][1] / values[0][0], unit_um * values[1][1] / values[1][0]
