"""Labels of nuclei, whatever they are stored in, as label images of the size of their field.

| file | holds | pixel (row, col) belongs to an outline when |
|---|---|---|
| `.png .tif .tiff .npy` | a binary mask (0 and 1, or 0 and white) or a label image | - |
| `.mat` | CoNSeP: `inst_map` | - |
| `.xml` | MoNuSeg, Aperio ImageScope: Region / Vertex | its centre (col + 0.5, row + 0.5) lies inside |
| `.geojson[.gz] .json[.gz]` | QuPath or wsiseg, level-0 pixels | the same |
| `.zarr` | wsiseg's store: `labels/nuclei` | - |

Where outlines overlap a pixel stays with the outline that comes first in the file, as in the organisers'
own code for MoNuSeg; a nucleus lying wholly inside an earlier one is therefore lost. (That code takes
vertices for pixel centres. On the images they are corners.) A binary mask holds no instances: its nuclei
are its 8-connected components, so touching ones count as one, and AJI, PQ and counts measured on it say
so (`Labels.has_instances`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsiseg.errors import LabelError
from wsiseg.evaluation import label_images, label_outlines, label_stores
from wsiseg.evaluation.label_matching import kind_of, match_labels

__all__ = ["Labels", "load_labels", "match_labels", "read_labels"]

Shape = tuple[int, int]


@dataclass(frozen=True)
class Labels:
    """The nuclei of one field.

    Parameters
    ----------
    image : int32 (H, W)
        0 is background, every other value one nucleus; values may have gaps.
    has_instances : bool
        Whether the file tells touching nuclei apart; if not, they are the connected components of a mask.
    """

    image: npt.NDArray[np.int32]
    has_instances: bool


def read_labels(path: str | os.PathLike[str], shape: Shape | None = None) -> npt.NDArray[np.int32]:
    """Read labels of any known format as a label image, int32 (H, W); see `load_labels`."""
    return load_labels(path, shape).image


def load_labels(path: str | os.PathLike[str], shape: Shape | None = None) -> Labels:
    """Read labels of any known format.

    Parameters
    ----------
    path : path-like
        The label file, or the folder of a Zarr store.
    shape : (int, int), optional
        (rows, columns) of the field at level 0. Left out: the file's own size; outlines, which have none,
        then give the smallest image that holds them all.

    Raises
    ------
    LabelError
        If the file is absent, broken, of another kind, or of another size than `shape`.
    """
    file = Path(path)
    kind = kind_of(file)
    if kind is None:
        raise LabelError(
            f"{file}: not a known kind of label file; give masks or label images (.png, .tif, .npy), "
            "MoNuSeg .xml, CoNSeP .mat, QuPath .geojson or a .zarr of wsiseg"
        )
    if not file.exists():
        raise LabelError(f"{file}: no such label file")
    if shape is not None:
        label_images.check_size(file, shape)
    readers: dict[str, Callable[[Path, Shape | None], npt.NDArray[np.generic]]] = {
        "zarr": label_stores.read_zarr,
        "geojson": label_outlines.read_geojson,
        "xml": label_outlines.read_xml,
        "mat": label_images.read_mat,
        "npy": label_images.read_npy,
        "tif": label_images.read_tiff,
        "png": label_images.read_png,
    }
    try:
        values = readers[kind](file, shape)
    except LabelError:
        raise
    except OSError as error:
        raise LabelError(f"{file}: cannot be read: {error.strerror or error}") from error
    if kind in ("zarr", "geojson", "xml", "mat"):
        return Labels(label_images.numbered(file, values), True)
    return _mask_or_instances(file, values)


def _mask_or_instances(file: Path, values: npt.NDArray[np.generic]) -> Labels:
    image = label_images.numbered(file, values)
    top = int(image.max(initial=0))
    white = {0, 1, 255, 2 ** (8 * values.dtype.itemsize) - 1}
    if top not in white or np.any((image != 0) & (image != top)):
        return Labels(image, True)
    import cv2

    _, components = cv2.connectedComponents((image != 0).astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    return Labels(components.astype(np.int32, copy=False), False)
