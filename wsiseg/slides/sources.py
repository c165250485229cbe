"""A slide to be worked on, and the names that its outputs may have."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from wsiseg.slides import files
from wsiseg.slides.resolution import Statement

SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("svs", "tif", "tiff", "ndpi", "mrxs", "scn", "bif", "vms", "vmu", "svslide", "dcm", "qptiff"),
        *("btf", "tf8", "tf2", "png", "jpg", "jpeg", "bmp", "webp", "jp2", "czi"),
    )
)
KEPT = frozenset(" ._-()+=@,")
MAX_NAME = 120
OPTION = "--slide-mpp"
RESERVED = frozenset(
    ["con", "prn", "aux", "nul", "run", "summary"] + [f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10)]
)


@dataclass(frozen=True)
class SlideSource:
    """A slide to be worked on.

    Parameters
    ----------
    path : str
        Path or URL.
    name : str
        Stem of its output files: unique in the list, safe as a file name on any system.
    mpp : float or None
        Micrometres per level-0 pixel as the user says; None for what the slide says.
    said_by : str
        Where the user says it.
    forced : bool
        Whether that stands even where the slide says something else.
    regions : str or None
        GeoJSON of its regions, as the list says.
    """

    path: str
    name: str
    mpp: float | None
    said_by: str = OPTION
    forced: bool = False
    regions: str | None = None

    @property
    def given(self) -> Statement | None:
        """What the user says about the resolution."""
        return None if self.mpp is None else Statement(self.said_by, self.mpp, self.mpp)


def stem(path: str) -> str:
    """Return a file stem for a slide: its name without suffix, with nothing that could make a path."""
    name = path.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
    if files.is_url(path):
        name = name.partition("?")[0].partition("#")[0]
    root, suffix = os.path.splitext(name)
    root = root if suffix.lower() in SUFFIXES or re.fullmatch(r"\.\w{1,8}", suffix) else name
    root = root[:-4] if root.lower().endswith(".ome") else root
    # What ends so is a file of another slide's nuclei, written with --split.
    root = re.sub(r"\.(part\d+)$", r"_\1", root)
    return safe_name(root)


def safe_name(text: str) -> str:
    """Return `text` as a file name that means the same on every system: no path, option or formula.

    Letters and digits of any script, space, and ``._-()+=@,`` stay; everything else becomes ``_``.

    Parameters
    ----------
    text : str
        Any text.

    Examples
    --------
    >>> safe_name("../a slide: '1'")
    '_a slide_ _1_'
    """
    text = unicodedata.normalize("NFC", text)
    kept = "".join(c if c.isalnum() or c in KEPT else "_" for c in text).strip(" .")
    # to a shell an option, to a spreadsheet a formula
    kept = f"_{kept.lstrip('-=+@')}" if kept.startswith(("-", "=", "+", "@")) else kept
    if len(kept.encode()) > MAX_NAME:
        short = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        kept = kept.encode()[: MAX_NAME - 9].decode("utf-8", "ignore") + "-" + short
    if not kept:
        return "slide"
    return f"{kept}_" if kept.lower() in RESERVED else kept


def distinct(sources: list[SlideSource]) -> list[SlideSource]:
    """Put the folder before names that occur twice, and a hash of the path after where that is not enough."""
    return _renamed(_renamed(sources, _with_folder), _with_hash)


def possible_names(source: SlideSource) -> tuple[str, ...]:
    """Return the names that a slide's outputs may have, the given one first: others may have taken it.

    Returns
    -------
    tuple of str
        The name in its list, then its plain name, that with the folder before, and both with a hash of the
        path, which no other slide has.
    """
    plain = replace(source, name=stem(source.path))
    placed = replace(source, name=_with_folder(plain))
    forms = (source.name, plain.name, placed.name, _with_hash(plain), _with_hash(placed))
    return tuple(dict.fromkeys(forms))


def _with_folder(source: SlideSource) -> str:
    return safe_name(f"{stem(os.path.dirname(absolute(source.path)))}-{source.name}")


def _with_hash(source: SlideSource) -> str:
    digest = hashlib.sha256(absolute(source.path).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{source.name}-{digest[:8]}"


def _renamed(sources: list[SlideSource], rename: Callable[[SlideSource], str]) -> list[SlideSource]:
    count = Counter(source.name.casefold() for source in sources)
    return [replace(s, name=rename(s)) if count[s.name.casefold()] > 1 else s for s in sources]


def absolute(path: str) -> str:
    """Return a path that means the same in every working directory, or the URL."""
    return path if files.is_url(path) else os.path.abspath(path)
