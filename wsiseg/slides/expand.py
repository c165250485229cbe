"""What a user calls "slides" becomes slides with names: files, folders, globs, CSV lists and URLs."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from wsiseg.errors import UsageError
from wsiseg.machine.marks import is_our_picture, is_ours
from wsiseg.slides import containers, dicom, files
from wsiseg.slides.slide_list import Listed, read_list
from wsiseg.slides.sources import OPTION, SUFFIXES, SlideSource, distinct, stem


def expand(
    arguments: Sequence[str], slide_mpp: float | None, force_slide_mpp: bool = False
) -> list[SlideSource]:
    """Return the slides that a user's arguments mean, in their order, each once.

    Pictures that wsiseg made (previews, figures) are no slides, whoever names them.

    Parameters
    ----------
    arguments : sequence of str
        Files, folders (their direct children that look like slides; a DICOM series is one slide), globs, CSV
        lists with columns ``slide,mpp,regions`` (paths relative to the list), fsspec URLs.
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
                found[key] = (path, listed._replace(regions=listed.regions or before.regions))
    if not found:
        raise UsageError(f"no slides given{', only pictures that wsiseg made' if arguments else ''}")
    return distinct([_source(path, listed, slide_mpp, force_slide_mpp) for path, listed in found.values()])


def _source(path: str, listed: Listed, slide_mpp: float | None, forced: bool) -> SlideSource:
    said_by = OPTION if listed.mpp is None else "the list"
    return SlideSource(path, stem(path), listed.mpp or slide_mpp, said_by, forced, listed.regions)


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
        paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
        for path in _without_parts(paths):
            name = os.path.basename(path)
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
        yield from read_list(argument)
    elif os.path.lexists(argument):
        yield argument, Listed()
    elif glob.has_magic(argument):
        paths = sorted(p for p in glob.glob(argument) if _is_candidate(p))
        yield from ((path, Listed()) for path in _without_parts(_one_per_series(paths)))
    else:
        raise UsageError(f"{argument}: there is no such file or folder")


def _slides_in(folder: str) -> list[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UsageError(f"{folder}: cannot be read: {error.strerror}") from None
    paths = [os.path.join(folder, name) for name in names]
    plain = _one_per_series(p for p in paths if os.path.isfile(p) or os.path.islink(p) if _is_candidate(p))
    plain = _without_parts(plain)
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


def _without_parts(paths: list[str]) -> list[str]:
    """Leave out the files that are parts of others in the list."""
    parts = frozenset[str]().union(*map(containers.parts_of, paths))
    return [path for path in paths if path not in parts]


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
