"""`open_slide`: finds the reader for a file."""

from __future__ import annotations

import os
import re

from wsiseg.errors import SlideError, UsageError
from wsiseg.slides import containers, dicom, files
from wsiseg.slides.slide import Slide

READERS = ("openslide", "tiffslide", "image")
OPENING = re.compile(r"^\w+ cannot (open it|read its header): ")


def open_slide(path: str | os.PathLike[str], reader: str = "auto") -> Slide:
    """Open a slide or image.

    Parameters
    ----------
    path : str or PathLike
        A file, a folder with one DICOM series, or an fsspec URL (``s3://...``, ``https://...``).
    reader : {"auto", "openslide", "tiffslide", "image"}
        Which reader to use; "auto" takes the first that can open the file.

    Returns
    -------
    Slide

    Raises
    ------
    SlideError
        When the file is missing, empty, lacks the files that belong to it, or is refused by every reader,
        with what each of them said.
    UsageError
        When there is no such reader.

    Examples
    --------
    >>> with open_slide("slide.svs") as slide:  # doctest: +SKIP
    ...     pixels = slide.read_region(0, 0, 0, 256, 256)
    """
    if reader != "auto" and reader not in READERS:
        raise UsageError(f"there is no reader {reader!r}; choose auto, {', '.join(READERS)}")
    path = files.normalised(path)
    files.check_readable(path)
    containers.check_complete(path)
    causes: dict[str, list[str]] = {}
    last: SlideError | None = None
    partial: Slide | None = None
    for name in _candidates(path) if reader == "auto" else (reader,):
        if partial is not None and name == "image":
            break
        slide = _reader(name)(path)
        try:
            slide.facts  # noqa: B018
        except SlideError as error:
            causes.setdefault(OPENING.sub("", error.cause), []).append(name)
            last = error
            slide.close()
        else:
            if reader != "auto" or not _hides_ome(slide):
                return slide
            partial = slide
    if partial is not None:
        return partial
    plainly = "" if os.path.isdir(path) else files.looks_like(path)
    said = "; ".join(f"{', '.join(names)}: {cause}" for cause, names in causes.items())
    raise SlideError(path, f"no reader can open it{plainly or f' ({said})'}") from last


def _candidates(path: str) -> tuple[str, ...]:
    """Return the readers worth asking: folders and DICOM are OpenSlide's alone."""
    of_openslide = os.path.isdir(path) or (not files.is_url(path) and dicom.is_dicom(path))
    return ("openslide",) if of_openslide else READERS


def _hides_ome(slide: Slide) -> bool:
    """Whether OpenSlide took an OME-TIFF for a plain one, without its pyramid and its resolution."""
    return slide.reader == "openslide" and "<OME " in slide.properties.get("tiff.ImageDescription", "")


def _reader(name: str) -> type[Slide]:
    if name == "openslide":
        from wsiseg.slides.openslide_reader import OpenSlideSlide

        return OpenSlideSlide
    if name == "tiffslide":
        from wsiseg.slides.tiffslide_reader import TiffSlideSlide

        return TiffSlideSlide
    from wsiseg.slides.image_reader import ImageSlide

    return ImageSlide
