"""What a user calls "slides": files, folders, globs, CSV lists and URLs become slides with names."""

from __future__ import annotations

import codecs
import csv
import glob
import hashlib
import io
import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from wsiseg.errors import UsageError
from wsiseg.machine.marks import is_our_picture, is_ours
from wsiseg.slides import containers, dicom, files
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
    """

    path: str
    name: str
    mpp: float | None
    said_by: str = OPTION
    forced: bool = False

    @property
    def given(self) -> Statement | None:
        """What the user says about the resolution."""
        return None if self.mpp is None else Statement(self.said_by, self.mpp, self.mpp)


def expand(
    arguments: Sequence[str], slide_mpp: float | None, force_slide_mpp: bool = False
) -> list[SlideSource]:
    """Return the slides that a user's arguments mean, in their order, each once.

    Pictures that wsiseg made (previews, figures) are no slides, whoever names them.

    Parameters
    ----------
    arguments : sequence of str
        Files, folders (their direct children that look like slides; a DICOM series is one slide), globs, CSV
        lists with columns ``slide,mpp`` (paths relative to the list), fsspec URLs.
    slide_mpp : float or None
        For slides whose list gives none.
    force_slide_mpp : bool
        Whether the resolution given by the user stands even where a slide says something else.

    Returns
    -------
    list of SlideSource

    Raises
    ------
    UsageError
        When an argument leads to no slide, or a list cannot be understood.
    """
    found: dict[str, tuple[str, Listed]] = {}
    for argument in arguments:
        items = list(_slides_of(os.fspath(argument)))
        if not items:
            raise UsageError(f"{argument}: no slides there (known suffixes: {' '.join(sorted(SUFFIXES))})")
        for path, listed in items:
            if is_our_picture(path):
                continue
            key = path if files.is_url(path) else os.path.realpath(path)
            _, before = found.setdefault(key, (path, listed))
            if None not in (before.mpp, listed.mpp) and before.mpp != listed.mpp:
                raise UsageError(
                    f"{path}: is listed with two resolutions, {before.mpp:g} ({before.place}) and "
                    f"{listed.mpp:g} ({listed.place}) um per pixel"
                )
            if before.mpp is None and listed.mpp is not None:
                found[key] = (path, listed)
    if not found:
        raise UsageError(f"no slides given{', only pictures that wsiseg made' if arguments else ''}")
    return _distinct([_source(path, listed, slide_mpp, force_slide_mpp) for path, listed in found.values()])


class Listed(NamedTuple):
    """What a list says about the resolution of a slide, and where; nothing for slides of no list."""

    mpp: float | None = None
    place: str = ""


def _source(path: str, listed: Listed, slide_mpp: float | None, forced: bool) -> SlideSource:
    said_by = OPTION if listed.mpp is None else "the list"
    return SlideSource(path, _stem(path), listed.mpp or slide_mpp, said_by, forced)


def left_out(arguments: Sequence[str]) -> list[str]:
    """Return the files in folders among a user's arguments that are taken for no slides.

    Hidden files, what a folder of slides may hold beside them (lists, and files that belong to a slide), and
    outputs of wsiseg are not named.
    """
    found: list[str] = []
    for argument in map(os.fspath, arguments):
        folder = files.normalised(argument)
        if files.is_url(folder) or not os.path.isdir(folder) or len(dicom.series_in(folder)) == 1:
            continue
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if not os.path.isfile(path) or name.startswith(".") or _is_candidate(path):
                continue
            if not is_ours(Path(path)):
                found.append(path)
    return found


def _slides_of(argument: str) -> Iterator[tuple[str, Listed]]:
    argument = files.normalised(argument)
    if files.is_url(argument):
        yield from ((url, Listed()) for url in _urls_of(argument))
    elif os.path.isdir(argument):
        yield from ((path, Listed()) for path in _slides_in(argument))
    elif argument.lower().endswith(".csv"):
        yield from _listed(argument)
    elif os.path.lexists(argument):
        yield argument, Listed()
    elif glob.has_magic(argument):
        paths = sorted(p for p in glob.glob(argument) if _is_candidate(p))
        yield from ((path, Listed()) for path in _one_per_series(paths))
    else:
        raise UsageError(f"{argument}: there is no such file or folder")


def _slides_in(folder: str) -> list[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UsageError(f"{folder}: cannot be read: {error.strerror}") from None
    paths = [os.path.join(folder, name) for name in names]
    plain = _one_per_series(p for p in paths if os.path.isfile(p) or os.path.islink(p) if _is_candidate(p))
    # a folder that is one DICOM series and nothing else is one slide, named after the folder
    series = dicom.series_in(folder)
    if len(series) == 1 and len(plain) == 1 and plain[0] in next(iter(series.values())):
        return [folder]
    nested = [p for p in paths if os.path.isdir(p) and not os.path.basename(p).startswith(".")]
    return plain + [p for p in nested if not _is_mrxs_data(p) and len(dicom.series_in(p)) == 1]


def _is_candidate(path: str) -> bool:
    name = os.path.basename(path)
    if name.startswith("."):
        return False
    if os.path.isdir(path):
        return not _is_mrxs_data(path) and bool(dicom.series_in(path))
    suffix = os.path.splitext(name)[1].lower()
    # slides that cannot be read are refused by name, not passed over
    return (
        suffix in SUFFIXES
        or suffix in containers.UNREADABLE
        or (suffix not in (".csv",) and dicom.series_uid(path) is not None)
    )


def _is_mrxs_data(folder: str) -> bool:
    return os.path.isfile(f"{folder}.mrxs") or os.path.isfile(os.path.join(folder, "Slidedat.ini"))


def _one_per_series(paths: Iterable[str]) -> list[str]:
    """Keep the first file of every DICOM series, and all that is not DICOM."""
    kept, seen = [], set()
    for path in paths:
        uid = dicom.series_uid(path) if os.path.isfile(path) else None
        if uid is None or (os.path.dirname(path), uid) not in seen:
            kept.append(path)
        seen.add((os.path.dirname(path), uid))
    return kept


def _urls_of(url: str) -> list[str]:
    if url.startswith(("http://", "https://")) or not (glob.has_magic(url) or url.endswith("/")):
        return [url]
    import fsspec

    url = f"{url}*" if url.endswith("/") else url

    scheme = url.partition("://")[0]
    fs, path = fsspec.core.url_to_fs(url)
    return [f"{scheme}://{p}" for p in sorted(fs.glob(path)) if _is_candidate(p)]


def _listed(path: str) -> Iterator[tuple[str, Listed]]:
    text = _list_text(path)
    header = text.partition("\n")[0]
    # what spreadsheets write where the comma is the decimal sign, and as "Unicode text"
    delimiter = max(",;\t", key=header.count)
    try:
        lines = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True, delimiter=delimiter)
        rows = list(lines)
    except csv.Error as error:
        raise UsageError(f"{path}: cannot be read as a CSV list: {error}") from None
    reader = rows[0].keys() if rows else ()
    columns = {str(name).strip().lower(): name for name in reader if name is not None}
    if "slide" not in columns:
        found = ", ".join(sorted(columns)) or "no rows"
        raise UsageError(
            f"{path}: needs a column 'slide' (and may have 'mpp'), separated by commas; it has: {found}"
        )
    for number, row in enumerate(rows, start=2):
        slide = (row[columns["slide"]] or "").strip()
        if not slide:
            continue
        if "\0" in slide:
            raise UsageError(f"{path}, line {number}: {slide!r} cannot be the name of a file")
        given = (row.get(columns.get("mpp", ""), None) or "").strip()
        try:
            mpp = float(given if delimiter == "," else given.replace(",", ".")) if given else None
        except ValueError:
            mpp = math.nan
        if mpp is not None and not (math.isfinite(mpp) and mpp > 0):
            raise UsageError(f"{path}, line {number}: mpp is {given!r}, not a positive number")
        inside = files.is_url(slide) or os.path.isabs(slide)
        place = f"{os.path.basename(path)}, line {number}"
        yield (slide if inside else os.path.join(os.path.dirname(path), slide)), Listed(mpp, place)


def _list_text(path: str) -> str:
    """Return the text of a list: UTF-8, or UTF-16 with a byte order mark, as spreadsheets save it."""
    try:
        with open(path, "rb") as file:
            data = file.read()
        is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is no UTF-8 text; save the list as CSV UTF-8") from None


def _stem(path: str) -> str:
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


def _distinct(sources: list[SlideSource]) -> list[SlideSource]:
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
    plain = replace(source, name=_stem(source.path))
    placed = replace(source, name=_with_folder(plain))
    forms = (source.name, plain.name, placed.name, _with_hash(plain), _with_hash(placed))
    return tuple(dict.fromkeys(forms))


def _with_folder(source: SlideSource) -> str:
    return safe_name(f"{_stem(os.path.dirname(absolute(source.path)))}-{source.name}")


def _with_hash(source: SlideSource) -> str:
    digest = hashlib.sha256(absolute(source.path).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{source.name}-{digest[:8]}"


def _renamed(sources: list[SlideSource], rename: Callable[[SlideSource], str]) -> list[SlideSource]:
    count = Counter(source.name.casefold() for source in sources)
    return [replace(s, name=rename(s)) if count[s.name.casefold()] > 1 else s for s in sources]


def absolute(path: str) -> str:
    """Return a path that means the same in every working directory, or the URL."""
    return path if files.is_url(path) else os.path.abspath(path)
