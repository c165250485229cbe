"""The metadata of a slide, checked for plausibility."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from wsiseg.errors import SlideError
from wsiseg.slides import files
from wsiseg.slides.levels import downsamples
from wsiseg.slides.orientation import UPRIGHT
from wsiseg.slides.resolution import Statement

MAX_SLIDE_PX = 2.5e11
MAX_PX_PER_BYTE = 20_000


@dataclass(frozen=True)
class Facts:
    """The metadata of a slide; plain values only, read once.

    Parameters
    ----------
    level_dimensions : tuple of (int, int)
        (width, height) of each level that counts in its own pixels, finest first, as shown.
    statements : tuple of Statement
        What it says about its resolution, the most trustworthy first.
    properties : Mapping of str to str
        The reader's metadata.
    warnings : tuple of str
        What was found odd, in words.
    orientation : int
        How its pixels are stored (TIFF tag 274); 1 is upright.
    refusal : str
        Why it should not be taken, in words: what makes it say less than it seems to. Empty for most.
    bounds : (int, int, int, int) or None
        x, y, width and height of the scanned part in level-0 pixels, where the file says so.
    """

    level_dimensions: tuple[tuple[int, int], ...]
    statements: tuple[Statement, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    orientation: int = UPRIGHT
    bounds: tuple[int, int, int, int] | None = None
    refusal: str = ""

    @cached_property
    def level_downsamples(self) -> tuple[float, ...]:
        """Level-0 pixels per level pixel."""
        return downsamples(self.level_dimensions)


def one_line(error: BaseException, limit: int = 200) -> str:
    """Return an exception's message as one short line; a lookup's own says only what was looked for."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "it takes more memory than there is"
    if not text or isinstance(error, (LookupError, ArithmeticError)):
        text = f"the file is damaged ({text})" if text else "the file is damaged"
    return text if len(text) <= limit else text[: limit - 3] + "..."


def check_plausible(path: str, facts: Facts) -> None:
    """Refuse sizes that cannot be true, before anything of that size is allocated.

    Raises
    ------
    SlideError
        For empty levels, levels larger than level 0, or more pixels than any slide has.
    """
    dims = facts.level_dimensions
    if not dims or any(w < 1 or h < 1 for w, h in dims):
        raise SlideError(path, f"a level of its header has no pixels ({dims}); the file is damaged")
    width, height = dims[0]
    size = files.size(path)
    too_thin = size is not None and width * height > MAX_PX_PER_BYTE * max(size, 1)
    if width * height > MAX_SLIDE_PX or too_thin:
        raise SlideError(path, f"its header promises {width} x {height} pixels, which cannot be true")
