"""Labelled fields: images and their nuclei, in the layouts of MoNuSeg and CoNSeP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsiseg.errors import LabelError, UsageError
from wsiseg.evaluation.label_matching import kind_of, match_labels, stem_of
from wsiseg.evaluation.labels import Labels, load_labels
from wsiseg.evaluation.metrics import dice, score

# Both data sets were scanned at 40x.
MPP = 0.25
IMAGE_FOLDERS = ("images", "Images", "Tissue Images", ".")
LABEL_FOLDERS = ("annotations", "Annotations", "Labels", "labels", "masks", "Masks", ".")
IMAGE_ENDINGS = (".tif", ".tiff", ".png")


@dataclass(frozen=True)
class Field:
    """One labelled image.

    Parameters
    ----------
    name : str
    image : Path
    mask : Path
        The labels by which Dice is taken and that `fit` may choose by.
    instances : Path or None
        Labels that tell touching nuclei apart, where there are such.
    as_authors : bool
        Whether the truth is drawn from outlines, where there are any, as Boserup & Selvan draw it: vertices
        rounded, borders included. Masks are 5 to 11 % smaller.
    """

    name: str
    image: Path
    mask: Path
    instances: Path | None
    as_authors: bool = False

    @cached_property
    def rgb(self) -> npt.NDArray[np.uint8]:
        """The pixels, uint8 (H, W, 3)."""
        from wsiseg.slides import open_slide

        with open_slide(self.image) as slide:
            width, height = slide.dimensions
            return slide.read_region(0, 0, 0, width, height)

    @cached_property
    def truth(self) -> npt.NDArray[np.bool_]:
        """Where nuclei are, bool (H, W)."""
        if self.as_authors and self.instances is not None and kind_of(self.instances) == "xml":
            return drawn(self.instances, (self.rgb.shape[0], self.rgb.shape[1]))
        return self._read(self.mask).image > 0

    @cached_property
    def nuclei(self) -> npt.NDArray[np.int32] | None:
        """The nuclei one by one, int32 (H, W), where the labels tell them apart."""
        labels = None if self.instances is None else self._read(self.instances)
        return labels.image if labels is not None and labels.has_instances else None

    def _read(self, path: Path) -> Labels:
        return load_labels(path, (self.rgb.shape[0], self.rgb.shape[1]))

    def score(
        self, mask: npt.NDArray[np.bool_], nuclei: npt.NDArray[np.int32] | None = None
    ) -> dict[str, float]:
        """Return Dice of a mask, and of nuclei all other scores where the truth has instances."""
        scores = {"dice": dice(self.truth, mask)}
        if nuclei is not None and self.nuclei is not None:
            found = score(self.nuclei, nuclei)
            scores |= {name: getattr(found, name) for name in ("aji", "pq", "sq", "dq", "count_error")}
        return scores


def drawn(xml: Path, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return the regions of an ImageScope XML, vertices rounded and borders included, bool (H, W)."""
    import cv2
    from defusedxml.ElementTree import parse

    image = np.zeros(shape, np.uint8)
    for region in parse(xml).iter("Region"):
        corners = [(float(v.attrib["X"]), float(v.attrib["Y"])) for v in region.iter("Vertex")]
        if len(corners) >= 3:
            cv2.fillPoly(image, [np.rint(corners).astype(np.int32)], (1,))
    return image > 0


def read_fields(folder: Path, as_authors: bool = False) -> list[Field]:
    """Find images and labels below a folder, in the order of their names.

    Images lie in `images/`, `Images/`, `Tissue Images/` or the folder itself; labels in `annotations/`,
    `Labels/`, `masks/` (both, where there are both) or beside the images.

    Raises
    ------
    UsageError
        If there are no labelled images.
    """
    images = _images(folder)
    instances: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for name in LABEL_FOLDERS:
        place = folder / name
        if not place.is_dir() or not _is_spelt(folder, name):
            continue
        try:
            matched = match_labels(images, place)
        except LabelError:
            continue
        target = masks if name.lower() == "masks" else instances
        for image, path in matched.items():
            if path not in images:
                target.setdefault(image, path)
    labelled = [path for path in images if stem_of(path) in masks or stem_of(path) in instances]
    if not labelled:
        raise UsageError(
            f"{folder}: no labelled images; give a folder with images/ and masks/ or annotations/ (MoNuSeg), "
            "or Images/ and Labels/ (CoNSeP)"
        )
    names = [stem_of(path) for path in labelled]
    return [
        Field(
            name,
            path,
            masks.get(name) or instances[name],
            instances.get(name) or masks.get(name),
            as_authors,
        )
        for name, path in zip(names, labelled, strict=True)
    ]


def _images(folder: Path) -> list[Path]:
    for name in IMAGE_FOLDERS:
        place = folder / name
        if place.is_dir() and _is_spelt(folder, name):
            found = sorted(
                p for p in place.iterdir() if p.suffix.lower() in IMAGE_ENDINGS and p.name[0] != "."
            )
            if found:
                # Beside label images the images are those of the other kind.
                tiffs = [path for path in found if kind_of(path) == "tif"]
                return tiffs if name == "." and tiffs else found
    raise UsageError(f"{folder}: no folder of images there")


def _is_spelt(folder: Path, name: str) -> bool:
    """Whether a name is spelt so, on file systems that do not tell capitals apart too."""
    return name == "." or name in {path.name for path in folder.iterdir()}


def folds(fields: Sequence[Field], count: int) -> list[list[Field]]:
    """Part fields into test sets: every `count`-th by name, so that sites and organs are spread."""
    if not 2 <= count <= len(fields):
        raise UsageError(f"{len(fields)} images cannot be parted into {count} folds")
    return [list(fields[start::count]) for start in range(count)]
