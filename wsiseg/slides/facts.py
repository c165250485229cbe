"""What a slide says about itself, and whether that can be true."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from wsiseg.errors import SlideError
from wsiseg.slides import files

# resolution tags of ordinary images say 72 or 300 dots an inch (353 or 85 um): no slide
MPP_RANGE = (0.01, 20.0)
MAX_SLIDE_PX = 2.5e11
MAX_PX_PER_BYTE = 20_000


@dataclass(frozen=True)
class Facts:
    """What a slide says about itself; plain values only, read once.

    Parameters
    ----------
    level_dimensions : tuple of (int, int)
        (width, height) of each level in its own pixels, finest first.
    level_downsamples : tuple of float
        Level-0 pixels per level pixel.
    mpp : float or None
        Micrometres per level-0 pixel, None when unknown or not credible.
    properties : Mapping of str to str
        The reader's metadata.
    warnings : tuple of str
        What was found odd, in words.
    """

    level_dimensions: tuple[tuple[int, int], ...]
    level_downsamples: tuple[float, ...]
    mpp: float | None
    properties: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def one_line(error: BaseException, limit: int = 200) -> str:
    """Return an exception's message as one short line; a lookup's own says only what was looked for."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "it takes more memory than there is"
    if not text or isinstance(error, (LookupError, ArithmeticError)):
        text = f"the file is damaged ({text})" if text else "the file is damaged"
    return text if len(text) <= limit else text[: limit - 3] + "..."


def snapped_downsamples(dimensions: tuple[tuple[int, int], ...]) -> tuple[float, ...]:
    """Return level-0 pixels per level pixel, whole numbers where cut-off rows and columns explain the rest.

    A level made by a factor of 4 out of 4443 pixels has 1110: its pixels are 4 wide, not 4.0027.

    Parameters
    ----------
    dimensions : tuple of (int, int)
        (width, height) of each level.

    Examples
    --------
    >>> snapped_downsamples(((4443, 3567), (2221, 1783), (2000, 1605)))
    (1.0, 2.0, 2.2219...)
    """
    width_l0, height_l0 = dimensions[0]
    downsamples = []
    for width, height in dimensions:
        ratio = math.sqrt((width_l0 / width) * (height_l0 / height))
        whole = float(round(ratio))
        fits = whole >= 1 and abs(width_l0 / whole - width) < 1 and abs(height_l0 / whole - height) < 1
        downsamples.append(whole if fits else ratio)
    return tuple(downsamples)


def credible_mpp(x: object, y: object) -> tuple[float | None, tuple[str, ...]]:
    """Return the micrometres per pixel of a slide, or None and why not.

    Parameters
    ----------
    x, y : object
        What the header says about columns and rows; strings, numbers or None.

    Returns
    -------
    float or None
        The geometric mean of both.
    tuple of str
        Why there is none, if the header had something.
    """
    if x is None and y is None:
        return None, ()
    try:
        mpp_x, mpp_y = (float(str(v)) for v in (x if x is not None else y, y if y is not None else x))
    except ValueError:
        return None, (f"its header gives the resolution as {one_line(ValueError(x))!r}, which is no number",)
    low, high = MPP_RANGE
    if not (low <= mpp_x <= high and low <= mpp_y <= high):
        return None, (f"its header gives {mpp_x:g} x {mpp_y:g} um per pixel, which no slide has; ignored",)
    if abs(mpp_x / mpp_y - 1) > 0.01:
        return None, (f"its pixels are not square ({mpp_x:g} x {mpp_y:g} um); resolution ignored",)
    return math.sqrt(mpp_x * mpp_y), ()


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
