"""Which label file belongs to which image: by name, tolerant of the habits of data sets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from wsiseg.errors import LabelError

# In order of preference where one folder holds several for an image: outlines, finer than the pixels of a
# store, then instances, then masks.
_KINDS = {
    "geojson": (".geojson.gz", ".geojson", ".json.gz", ".json"),
    "zarr": (".ome.zarr", ".zarr"),
    "xml": (".xml",),
    "mat": (".mat",),
    "npy": (".npy",),
    "tif": (".ome.tiff", ".ome.tif", ".tiff", ".tif"),
    "png": (".png",),
}
_IMAGE_ENDINGS = (
    ".ome.tiff", ".ome.tif", ".tiff", ".tif", ".png", ".jpg", ".jpeg", ".svs", ".ndpi", ".mrxs", ".scn",
    ".bif", ".vms", ".vmu", ".svslide", ".dcm",
)  # fmt: skip
_HABITS = re.compile(
    r"[ _.-]+(mask|masks|binary|label|labels|labelled|labeled|inst|instance|instances|inst_map|gt|seg|truth|"
    r"annotation|annotations|nuclei)$"
)


def kind_of(path: str | os.PathLike[str]) -> str | None:
    """Return the kind of a label file by its ending (a key of the table above), None if it has none."""
    name = Path(path).name.lower()
    for kind, endings in _KINDS.items():
        if name.endswith(endings):
            return kind
    return None


def stem_of(path: str | os.PathLike[str]) -> str:
    """Return the name of an image or label file without its ending (a known one, however many dots)."""
    name = Path(path).name
    endings = [ending for group in _KINDS.values() for ending in group] + list(_IMAGE_ENDINGS)
    for ending in sorted(endings, key=len, reverse=True):
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return name


def plain_stem(path: str | os.PathLike[str]) -> str:
    """Return the stem in small letters and without what data sets add: `_mask`, `-labels`, `.inst`, ..."""
    stem = stem_of(path).lower()
    while (shorter := _HABITS.sub("", stem)) != stem and shorter:
        stem = shorter
    return stem


def label_files(folder: Path) -> list[Path]:
    """Return what could be labels in a folder, in the order of names; a run.json of wsiseg is none."""
    return [
        path
        for path in sorted(folder.iterdir())
        if kind_of(path) is not None and not path.name.startswith(".") and path.name != "run.json"
    ]


def best_kind(paths: Iterable[Path]) -> Path:
    """Return the file that tells most of the nuclei: a store, then outlines, then label images."""
    order = list(_KINDS)
    return min(paths, key=lambda path: order.index(kind_of(path) or "png"))


def match_labels(sources: Iterable[object], folder_or_file: str | os.PathLike[str]) -> dict[str, Path]:
    """Find the label file of each image by its name.

    Parameters
    ----------
    sources : iterable of SlideSource, path or str
        The images; a SlideSource goes by its `name`, a path by its stem.
    folder_or_file : path-like
        A folder (not searched below) with label files, or, for one image, its label file.

    Returns
    -------
    dict of str to Path
        Name of the image -> its label file. Images without labels are left out. Exact names win over names
        that differ in case or by an addition such as `_mask`; where several kinds of file match, the one
        that tells instances apart wins: Zarr, GeoJSON, XML, MAT, NumPy, TIFF, PNG.

    Raises
    ------
    LabelError
        If the place does not exist, two files match an image equally well, or no image has labels.
    """
    images = [_described(source) for source in sources]
    place = Path(folder_or_file)
    if not place.exists():
        raise LabelError(f"{place}: no such file or folder of labels")
    if kind_of(place) is not None:
        if len(images) == 1:
            return {images[0][0]: place}
        candidates = [place]
    elif place.is_dir():
        candidates = label_files(place)
    else:
        raise LabelError(f"{place}: not a known kind of label file (.png .tif .npy .xml .mat .geojson)")
    found = {}
    for name, path in images:
        label = _best(name, path, candidates)
        if label is not None:
            found[name] = label
    if images and not found:
        here = ", ".join(path.name for path in candidates[:3]) or "no label files"
        names = ", ".join(name for name, _ in images[:3])
        raise LabelError(
            f"{place}: no label file is named like an image (images: {names}; labels: {here}); "
            "a label has its image's name with its own suffix"
        )
    return found


def _described(source: object) -> tuple[str, Path]:
    name, path = getattr(source, "name", None), getattr(source, "path", None)
    if isinstance(name, str) and isinstance(path, str):
        return name, Path(path)
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"an image is a SlideSource or a path, not {type(source).__name__}")
    return stem_of(source), Path(source)


def _best(name: str, path: Path, candidates: list[Path]) -> Path | None:
    """Return the candidate nearest in name, then best in kind; the image itself is none."""
    others = [c for c in candidates if c.absolute() != path.absolute()]
    wanted = (name, stem_of(path))
    plain = {plain_stem(w) for w in wanted}
    exact = [c for c in others if stem_of(c) in wanted]
    tolerant = [c for c in others if plain_stem(c) in plain]
    for near in (exact, tolerant):
        for kind in _KINDS:
            same = [c for c in near if kind_of(c) == kind]
            if len(same) > 1:
                raise LabelError(
                    f"{same[0].parent}: both {same[0].name} and {same[1].name} could be the labels of "
                    f"{name}; keep one of them there"
                )
            if same:
                return same[0]
    return None
