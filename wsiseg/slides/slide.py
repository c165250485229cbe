"""`Slide`: what every reader offers.

Level-0 pixels are the slide's finest; "level pixels" are those of one pyramid level. A slide holds no open
handle that could be pickled or shared by accident: it opens its own in every process, when it first reads.
"""

from __future__ import annotations

import hashlib
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import SlideError
from wsiseg.slides import files
from wsiseg.slides.facts import Facts, check_plausible, one_line
from wsiseg.slides.orientation import UPRIGHT, stored_box, upright
from wsiseg.slides.resolution import Resolution, Statement, decide
from wsiseg.tiles import Box

FINGERPRINT_BYTES = 2**18
KEPT_BYTES = 2**26


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
        """Return the RGB pixels of a box inside the level as stored, raising anything on failure."""

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
        """Micrometres per level-0 pixel as the slide says; None when unknown or not credible."""
        return self.resolution().mpp

    def resolution(self, given: Statement | None = None, forced: bool = False) -> Resolution:
        """Decide what a level-0 pixel measures, from what the slide and the user say; see `decide`."""
        return decide(self.facts.statements, given, forced)

    @property
    def properties(self) -> Mapping[str, str]:
        """The reader's metadata."""
        return self.facts.properties

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was found odd about the slide, in words."""
        return (*self.facts.warnings, *self.resolution().warnings)

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
        turn = self.facts.orientation
        try:
            if turn == UPRIGHT:
                return self._read(box, level)
            return upright(self._read(stored_box(box, self.level_dimensions[level], turn), level), turn)
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
        """Close the file; a later read reopens it."""
        # a thread may still be reading: the handle goes when the last reference does
        self._handle = None
