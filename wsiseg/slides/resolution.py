"""How many micrometres a pixel measures: one decision from everything that is said about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# A 100x objective gives 0.06 um; above 2.5 um a nucleus is two pixels wide. Tags of ordinary images say 72 or
# 300 dots an inch (353 or 85 um).
POSSIBLE_MPP = (0.055, 2.5)
# Whole-slide scanners: 10x to 83x.
USUAL_MPP = (0.1, 1.1)
SAME = 0.05
SQUARE = 0.01
# Scanners of "40x" give 0.22 to 0.28 um per pixel: 10 um over the objective power, give or take.
POWER_MPP = 10.0
POWER_FACTOR = 1.5


@dataclass(frozen=True)
class Statement:
    """What one source says about the resolution of level 0.

    Parameters
    ----------
    source : str
        Who says it, in words: "its OME-XML", "its resolution tag", "--slide-mpp".
    mpp_x, mpp_y : float
        Micrometres per pixel; nan where it is no number.
    is_nominal : bool
        Whether it is only what an objective power usually means.
    text : str
        The source's own words, where they are no number.
    """

    source: str
    mpp_x: float
    mpp_y: float
    is_nominal: bool = False
    text: str = ""

    @classmethod
    def of(cls, source: str, x: object, y: object = None) -> Statement | None:
        """Return what a header says in x and y (strings, numbers or None); None where it says nothing."""
        x, y = (x if x is not None else y), (y if y is not None else x)
        if x is None:
            return None
        try:
            return cls(source, float(str(x)), float(str(y)))
        except ValueError:
            return cls(source, math.nan, math.nan, text=" ".join(str(x).split())[:80])

    @classmethod
    def of_power(cls, power: object) -> Statement | None:
        """Return what an objective power means for the resolution; None where there is none."""
        try:
            magnification = float(str(power))
        except ValueError:
            return None
        if not 1 <= magnification <= 150:
            return None
        usual = POWER_MPP / magnification
        return cls(f"its objective power ({magnification:g}x)", usual, usual, is_nominal=True)

    @property
    def mpp(self) -> float:
        """The geometric mean of both directions, micrometres per pixel."""
        return math.sqrt(self.mpp_x * self.mpp_y)

    @property
    def fault(self) -> str:
        """Why it cannot be true, in words; empty where it can."""
        if self.text:
            return f"{self.source} gives the resolution as {self.text!r}, which is no number"
        low, high = POSSIBLE_MPP
        given = f"{self.mpp_x:g} x {self.mpp_y:g} um per pixel"
        if not (low <= self.mpp_x <= high and low <= self.mpp_y <= high):
            return f"{self.source} says {given}, which no slide has"
        if abs(self.mpp_x / self.mpp_y - 1) > SQUARE:
            return f"{self.source} says that pixels are not square ({given})"
        return ""

    def __str__(self) -> str:
        if self.text:
            return f"{self.source}: {self.text!r}"
        about = "about " if self.is_nominal else ""
        square = math.isclose(self.mpp_x, self.mpp_y, rel_tol=1e-6)
        value = f"{self.mpp_x:.4g}" if square else f"{self.mpp_x:.4g} x {self.mpp_y:.4g}"
        return f"{self.source}: {about}{value} um per pixel"


@dataclass(frozen=True)
class Resolution:
    """What was decided.

    Parameters
    ----------
    mpp : float or None
        Micrometres per level-0 pixel; None where nobody says it.
    taken : Statement or None
        Whose word it is.
    statements : tuple of Statement
        All that was said, the user's last.
    warnings : tuple of str
        What does not fit, in words.
    """

    mpp: float | None
    taken: Statement | None
    statements: tuple[Statement, ...]
    warnings: tuple[str, ...]

    @property
    def hint(self) -> str:
        """What an objective power that is stated would mean for --slide-mpp; empty without one."""
        nominal = [s for s in self.statements if s.is_nominal]
        return f" ({nominal[0].source} usually means {nominal[0].mpp:.3g})" if nominal else ""


def decide(stated: Sequence[Statement], given: Statement | None = None, forced: bool = False) -> Resolution:
    """Decide the resolution of a slide.

    The slide's first statement that can be true is taken. The user's fills in where the slide has none, or
    overrules it if forced. An objective power alone is no resolution. Statements that cannot be true, or
    differ by more than 5 % from what is taken, are warned of.

    Parameters
    ----------
    stated : sequence of Statement
        What the slide says, the most trustworthy first.
    given : Statement, optional
        What the user says.
    forced : bool
        Whether the user's word stands even where the slide says something else.

    Returns
    -------
    Resolution

    Examples
    --------
    >>> said = Statement("OME-XML", 0.5, 0.5)
    >>> decide([said], Statement("--slide-mpp", 0.25, 0.25)).mpp
    0.5
    >>> decide([said], Statement("--slide-mpp", 0.25, 0.25), forced=True).mpp
    0.25
    """
    measured = [s for s in stated if not s.is_nominal]
    credible = [s for s in measured if not s.fault]
    own = credible[0] if credible else None
    taken = given if given is not None and (own is None or forced) else own
    everything = (*stated, *([given] if given is not None else []))
    if taken is None:
        return Resolution(None, None, everything, tuple(s.fault for s in measured))
    warnings = [f"{s.fault}; ignored" for s in measured] if own is None else []
    warnings += [_differing(s, own) for s in credible[1:] if own is not None and _differ(s, own)]
    if given is not None and own is not None and _differ(given, own):
        way = "" if forced else "; --force-slide-mpp takes yours"
        warnings.append(f"{_differing(given if not forced else own, taken)}{way}")
    warnings += [_off_power(s, taken) for s in stated if s.is_nominal and _is_off_power(s, taken)]
    low, high = USUAL_MPP
    if not low <= taken.mpp <= high:
        warnings.append(
            f"{taken.source} says {taken.mpp:.4g} um per pixel, which is unusual (scanners give {low} to "
            f"{high}): if it is wrong, so are the nuclei"
        )
    return Resolution(taken.mpp, taken, everything, tuple(dict.fromkeys(warnings)))


def _differ(a: Statement, b: Statement) -> bool:
    return abs(a.mpp / b.mpp - 1) > SAME


def _differing(other: Statement, taken: Statement) -> str:
    return (
        f"{other.source} says {other.mpp:.4g} um per pixel, {taken.source} {taken.mpp:.4g}; "
        f"{taken.mpp:.4g} was taken"
    )


def _is_off_power(nominal: Statement, taken: Statement) -> bool:
    return not 1 / POWER_FACTOR < taken.mpp / nominal.mpp < POWER_FACTOR


def _off_power(nominal: Statement, taken: Statement) -> str:
    return (
        f"{nominal.source} usually means about {nominal.mpp:.3g} um per pixel, {taken.source} says "
        f"{taken.mpp:.4g}, which was taken: check it"
    )
