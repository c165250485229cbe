"""Which levels of a slide are its level 0 made smaller, and by how much."""

from __future__ import annotations

import math
from collections.abc import Sequence

Size = tuple[int, int]


def level_downsample(level0: Size, size: Size) -> float | None:
    """Return level-0 pixels per pixel of a level; None if its sides do not both follow by one factor.

    A side may be off by the rounding of half a pixel, or by the pixel that a whole factor cuts off or adds:
    a level made by a factor of 4 out of 4443 pixels has 1110, its pixels are 4 wide, not 4.0027.

    Parameters
    ----------
    level0, size : (int, int)
        (width, height) of level 0 and of the level.

    Examples
    --------
    >>> level_downsample((4443, 3567), (1110, 891))
    4.0
    >>> level_downsample((1000, 1000), (400, 400))
    2.5
    >>> level_downsample((2400, 2000), (1280, 1024)) is None
    True
    """
    sides = [side / small for side, small in zip(level0, size, strict=True)]
    ratio = math.sqrt(sides[0] * sides[1])
    near = {round(ratio), *(math.floor(side) for side in sides), *(math.ceil(side) for side in sides)} - {0}
    for whole in sorted(near, key=lambda k: abs(k - ratio)):
        if all(abs(side / whole - small) < 1 for side, small in zip(level0, size, strict=True)):
            return float(whole)
    least = max(side / (small + 0.5) for side, small in zip(level0, size, strict=True))
    most = min(side / max(small - 0.5, 0.25) for side, small in zip(level0, size, strict=True))
    return ratio if least <= most and ratio > 1 else None


def counted_levels(sizes: Sequence[Size]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return which levels of a pyramid count, and what is left out, in words.

    Parameters
    ----------
    sizes : sequence of (int, int)
        (width, height) of each level, level 0 first.

    Returns
    -------
    tuple of int
        Indices of level 0 and of the levels that follow from it by a factor of more than 1.
    tuple of str
        One remark for each of the others.
    """
    kept, remarks = [0], []
    for number, size in enumerate(sizes[1:], start=1):
        downsample = level_downsample(sizes[0], size)
        if downsample is not None and downsample > 1:
            kept.append(number)
            continue
        (width0, height0), (width, height) = sizes[0], size
        why = (
            "as large as level 0: another plane or picture?"
            if downsample is not None
            else f"not {width0} x {height0} made smaller by one factor (padded or cropped)"
        )
        remarks.append(f"level {number} ({width} x {height}) is left out: it is {why}")
    return tuple(kept), tuple(remarks)


def downsamples(sizes: Sequence[Size]) -> tuple[float, ...]:
    """Return level-0 pixels per pixel of each level that counts.

    Parameters
    ----------
    sizes : sequence of (int, int)
        (width, height) of each level.

    Examples
    --------
    >>> downsamples(((4443, 3567), (2221, 1783), (2000, 1605)))
    (1.0, 2.0, 2.2219...)
    """
    found = [level_downsample(sizes[0], size) for size in sizes]
    return tuple(1.0 if value is None else value for value in found)
