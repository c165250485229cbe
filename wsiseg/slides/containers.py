"""Refuses incomplete slides of several files and unsupported formats before any reader opens them."""

from __future__ import annotations

import configparser
import os

from wsiseg.errors import SlideError
from wsiseg.slides import files

# Suffixes of slides that no reader supports: refused by name, never skipped.
UNREADABLE = {
    ".isyntax": "Philips iSyntax",
    ".vsi": "Olympus VSI",
    ".ets": "Olympus ETS",
    ".lif": "Leica LIF",
    ".lsm": "Zeiss LSM",
    ".nd2": "Nikon ND2",
    ".oib": "Olympus OIB",
    ".oif": "Olympus OIF",
    ".oir": "Olympus OIR",
    ".mcd": "Fluidigm MCD",
    ".jpx": "JPX",
    ".kfb": "KFBio KFB",
    ".sdpc": "Sunny SDPC",
    ".tmap": "UNIC TMAP",
    ".zvi": "Zeiss ZVI",
}


def suffix_of(path: str) -> str:
    """Return the suffix of a path or URL in lower case, without a query."""
    name = path.partition("?")[0].partition("#")[0] if files.is_url(path) else path
    return os.path.splitext(name)[1].lower()


def check_complete(path: str) -> None:
    """Refuse a slide whose other files are missing, and formats that cannot be read.

    Raises
    ------
    SlideError
        With the name of what is missing.
    """
    suffix = suffix_of(path)
    if suffix in UNREADABLE:
        raise SlideError(
            path,
            f"wsiseg cannot read {UNREADABLE[suffix]}; convert it to a pyramidal OME-TIFF (for example with "
            "QuPath's convert-ome or bfconvert)",
        )
    if files.is_url(path) or not os.path.isfile(path):
        return
    if suffix == ".mrxs":
        _check_mrxs(path)
    elif suffix in (".vms", ".vmu"):
        _check_hamamatsu(path)


def _check_mrxs(path: str) -> None:
    folder = os.path.splitext(path)[0]
    name = os.path.basename(folder)
    if not os.path.isdir(folder):
        raise SlideError(path, f"its data folder {name!r} is missing beside it: copy that folder too")
    if not os.path.isfile(os.path.join(folder, "Slidedat.ini")):
        raise SlideError(path, f"its data folder {name!r} has no Slidedat.ini: the copy is not complete")


def _check_hamamatsu(path: str) -> None:
    """Check that the images that a .vms or .vmu names lie beside it."""
    for key, name in _named_files(path):
        if not key.startswith(("imagefile", "mapfile")):
            continue
        if not os.path.isfile(os.path.join(os.path.dirname(path), os.path.basename(name))):
            raise SlideError(path, f"its file {name!r} is missing beside it: copy all files of the slide")


def parts_of(path: str) -> frozenset[str]:
    """Return the files beside a slide that are parts of it: the pictures that a .vms or .vmu names.

    Parameters
    ----------
    path : str
        Any file.
    """
    if suffix_of(path) not in (".vms", ".vmu") or not os.path.isfile(path):
        return frozenset()
    folder = os.path.dirname(path)
    beside = (os.path.join(folder, os.path.basename(name)) for _, name in _named_files(path))
    return frozenset(part for part in beside if os.path.isfile(part))


def _named_files(path: str) -> list[tuple[str, str]]:
    """Return key and value of all entries of a .vms or .vmu whose value may name a file."""
    entries = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            entries.read_string(file.read(2**20))
    except (configparser.Error, OSError):
        return []
    every = (
        (key, value.strip()) for section in entries.sections() for key, value in entries[section].items()
    )
    return [(key, value) for key, value in every if value and ("file" in key or key == "macroimage")]
