"""`Slide`, what every reader offers, and `open_slide`, which finds the reader for a file.

Level-0 pixels are the slide's finest; "level pixels" are those of one pyramid level. A slide holds no open
handle that could be pickled or shared by accident: it opens its own in every process, when it first reads.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import SlideError, UsageError
from wsiseg.slides import files
from wsiseg.slides.facts import Facts, check_plausible, one_line
from wsiseg.tiles import Box

READERS = ("openslide", "tiffslide", "image")
FINGERPRINT_BYTES = 2**18
KEPT_BYTES = 2**26
OPENING = re.compile(r"^\w+ cannot (open it|read its header): ")


class Slide(ABC):
    """A slide or image that can be read region by region, from several threads and processes.

    Parameters
    ----------
    path : str
        Path or URL.

    Attributes
    ----------
    kept_bytes : int
        What decoded tiles of a level may take that wsiseg keeps for the next region. Who reads at random
        places sets it low before the first.
    """

    reader: ClassVar[str]

    def __init__(self, path: str) -> None:
        self.path = path
        self.kept_bytes = KEPT_BYTES
        self._facts: Facts | None = None
        self._handle: Any = None
        self._lock = threading.RLock()
        self._pid = os.getpid()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _open(self) -> Any:
        """Return a new handle, raising anything when the file cannot be opened."""

    @abstractmethod
    def _describe(self, handle: Any) -> Facts:
        """Return what the slide says about itself."""

    @abstractmethod
    def _read(self, box: Box, level: int) -> NDArray[np.uint8]:
        """Return the RGB pixels of a box that lies inside the level, raising anything on failure."""

    def _current(self) -> Any:
        """Return this process's handle, opened when needed."""
        if self._pid != os.getpid():
            # a handle inherited by fork shares its file position and locks with the parent: leave it alone
            self._inherited = self._handle
            self._handle, self._lock, self._pid = None, threading.RLock(), os.getpid()
        with self._lock:
            if self._handle is None:
                try:
                    self._handle = self._open()
                except SlideError:
                    raise
                except Exception as error:
                    raise SlideError(self.path, f"{self.reader} cannot open it: {one_line(error)}") from error
            return self._handle

    @property
    def facts(self) -> Facts:
        """What the slide says about itself.

        Raises
        ------
        SlideError
            When it cannot be opened, or what it says cannot be true.
        """
        if self._facts is None:
            handle = self._current()
            try:
                facts = self._describe(handle)
            except SlideError:
                raise
            except Exception as error:
                raise SlideError(
                    self.path, f"{self.reader} cannot read its header: {one_line(error)}"
                ) from error
            check_plausible(self.path, facts)
            self._facts = facts
        return self._facts

    @property
    def dimensions(self) -> tuple[int, int]:
        """(width, height) in level-0 pixels."""
        return self.facts.level_dimensions[0]

    @property
    def level_dimensions(self) -> tuple[tuple[int, int], ...]:
        """(width, height) of each level, finest first."""
        return self.facts.level_dimensions

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """Level-0 pixels per pixel of each level."""
        return self.facts.level_downsamples

    @property
    def mpp(self) -> float | None:
        """Micrometres per level-0 pixel; None when unknown or not credible (see `warnings`)."""
        return self.facts.mpp

    @property
    def properties(self) -> Mapping[str, str]:
        """The reader's metadata."""
        return self.facts.properties

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was found odd about the slide, in words."""
        return self.facts.warnings

    def read_region(
        self, x_level: int, y_level: int, level: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        """Read a rectangle of one level.

        Parameters
        ----------
        x_level, y_level : int
            Top left corner in pixels of `level`; it may lie outside the slide.
        level : int
            Pyramid level, 0 is the finest.
        width, height : int
            Size in pixels of `level`.

        Returns
        -------
        ndarray of uint8, (height, width, 3)
            RGB; white outside the slide and where it is transparent.

        Raises
        ------
        SlideError
            When a part cannot be decoded; it names the place. Nothing is made up for it.
        """
        if not 0 <= level < len(self.level_dimensions):
            raise ValueError(f"level {level} of a slide with {len(self.level_dimensions)} levels")
        box = Box(x_level, y_level, x_level + width, y_level + height)
        inside = box.clipped(Box(0, 0, *self.level_dimensions[level]))
        if inside == box and not box.is_empty:
            return self._read_or_say(box, level)
        out = np.full((height, width, 3), 255, np.uint8)
        if not inside.is_empty:
            out[inside.slices_in(box)] = self._read_or_say(inside, level)
        return out

    def _read_or_say(self, box: Box, level: int) -> NDArray[np.uint8]:
        try:
            return self._read(box, level)
        except Exception as error:
            cause = error.cause if isinstance(error, SlideError) else one_line(error)
            raise SlideError(
                self.path,
                f"level {level}, x {box.x0}..{box.x1}, y {box.y0}..{box.y1} cannot be decoded: {cause}",
            ) from error

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the file's size, its first and last 256 KiB and the size of level 0; no file times.

        Formats of several files add the reader's own hash of them.
        """
        digest = hashlib.sha256(repr(self.dimensions).encode())
        for part in files.ends(self.path, FINGERPRINT_BYTES):
            digest.update(part)
        digest.update(
            self.properties.get("openslide.quickhash-1", "").encode() if self._is_many_files else b""
        )
        return digest.hexdigest()

    @property
    def _is_many_files(self) -> bool:
        return self.path.lower().endswith((".mrxs", ".vms", ".vmu", ".dcm")) or os.path.isdir(self.path)

    def close(self) -> None:
        """Let go of the open file; a later read opens it again."""
        # a thread may still be reading: the handle goes when the last reference does
        self._handle = None


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
        When the file is missing, empty, or refused by every reader, with what each of them said.
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
    causes: list[str] = []
    last: SlideError | None = None
    partial: Slide | None = None
    for name in READERS if reader == "auto" else (reader,):
        if partial is not None and name == "image":
            break
        slide = _reader(name)(path)
        try:
            slide.facts  # noqa: B018
        except SlideError as error:
            causes.append(f"{name}: {OPENING.sub('', error.cause)}")
            last = error
            slide.close()
        else:
            if reader != "auto" or not _hides_ome(slide):
                return slide
            partial = slide
    if partial is not None:
        return partial
    plainly = "" if os.path.isdir(path) else files.looks_like(path)
    why = plainly or f" ({'; '.join(causes)})"
    raise SlideError(path, f"no reader can open it{why}") from last


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
