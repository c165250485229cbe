"""Labels in a Zarr store as `wsiseg predict` leaves it: `labels/nuclei`, enlarged to level-0 pixels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsiseg.errors import LabelError
from wsiseg.evaluation.label_images import check_shape

Shape = tuple[int, int]


def read_zarr(file: Path, shape: Shape | None) -> npt.NDArray[np.generic]:
    """Return the nuclei of a store as a label image (H, W) in level-0 pixels.

    A store holds nuclei at its model's resolution; a level-0 pixel takes the nucleus that its centre lies in.
    """
    import zarr
    from zarr.errors import BaseZarrError

    try:
        group = zarr.open_group(str(file), mode="r")
        array = _nuclei(file, group)
        scale = _scale_l0(_described(file, group))
        found = (math.floor(array.shape[0] * scale + 0.5), math.floor(array.shape[1] * scale + 0.5))
        target = _target(file, found, scale, shape)
        return enlarged(array, scale, target)
    except (BaseZarrError, KeyError, TypeError, ValueError) as error:
        raise LabelError(f"{file}: not a readable store of wsiseg: {error}") from error


def _nuclei(file: Path, group: Any) -> Any:
    """Return the finest array of labels/nuclei."""
    try:
        labels = group["labels/nuclei"]
    except KeyError:
        raise LabelError(
            f"{file}: a Zarr store without labels/nuclei; give one that `wsiseg predict` wrote"
        ) from None
    array = labels[labels.attrs["ome"]["multiscales"][0]["datasets"][0]["path"]]
    if array.ndim != 2 or np.dtype(array.dtype).kind not in "ui":
        raise LabelError(f"{file}: labels/nuclei is not an image of rows and columns with whole numbers")
    return array


def _described(file: Path, group: Any) -> Any:
    """Return what wsiseg recorded of its run; a store that is not finished is refused."""
    described = group.attrs.get("wsiseg")
    if isinstance(described, dict) and described.get("state") == "unfinished":
        raise LabelError(f"{file}: not finished; repeat `wsiseg predict` to resume it")
    return described


def _scale_l0(described: Any) -> float:
    """Return level-0 pixels per pixel of the store as it is recorded there, else 1."""
    identity = described.get("identity") if isinstance(described, dict) else None
    frame = identity.get("frame") if isinstance(identity, dict) else None
    scale = frame.get("scale_l0") if isinstance(frame, dict) else None
    return float(scale) if isinstance(scale, int | float) and 0.001 < scale < 1000 else 1.0


def _target(file: Path, found: Shape, scale: float, shape: Shape | None) -> Shape:
    """Return the level-0 size: the one asked for, if the store's own is within a pixel of the store of it."""
    near = shape is not None and all(
        abs(f - s) <= math.ceil(scale) for f, s in zip(found, shape, strict=True)
    )
    check_shape(file, found, None if near else shape)
    return shape if shape is not None else found


def enlarged(array: Any, scale: float, target: Shape) -> npt.NDArray[Any]:
    """Return labels (rows, columns) in other pixels: each takes the label that its centre lies in.

    Parameters
    ----------
    array : array
        In numpy or Zarr.
    scale : float
        Pixels of the target per pixel of `array`.
    target : (int, int)
        Rows and columns wanted.
    """
    rows, cols = (
        np.minimum(((np.arange(size) + 0.5) / scale).astype(np.int64), length - 1)
        for size, length in zip(target, array.shape, strict=True)
    )
    values: npt.NDArray[np.generic] = np.asarray(array[:])
    return values if scale == 1 and values.shape == target else values[np.ix_(rows, cols)]
