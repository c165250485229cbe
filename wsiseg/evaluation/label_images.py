"""Labels stored as pixels: PNG, TIFF, NumPy and CoNSeP's MATLAB files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsiseg.errors import LabelError

Values = npt.NDArray[np.generic]
Shape = tuple[int, int]

# Label images above this are slides, not fields; their int32 image alone would take 2 GiB.
MAX_PIXELS = 1 << 29
_INT32_MAX = 2**31 - 1


def check_size(file: Path, shape: Shape) -> None:
    """Raise LabelError if an image of this (rows, columns) is too large to be scored at once."""
    if shape[0] < 1 or shape[1] < 1 or shape[0] * shape[1] > MAX_PIXELS:
        raise LabelError(
            f"{file}: {shape[1]} x {shape[0]} px cannot be scored at once; give fields "
            f"of up to {MAX_PIXELS:,} px"
        )


def check_shape(file: Path, found: tuple[int, ...], shape: Shape | None) -> None:
    """Raise LabelError unless labels of `found` (rows, columns) belong to an image of `shape`."""
    if shape is not None and tuple(found) != tuple(shape):
        raise LabelError(
            f"{file}: labels of {found[1]} x {found[0]} px for an image of {shape[1]} x {shape[0]} px; "
            "give the labels of the whole image at its full resolution"
        )
    check_size(file, (found[0], found[1]))


def numbered(file: Path, values: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Return label values as int32 (H, W); values beyond int32 are renumbered in their order.

    Raises
    ------
    LabelError
        If a value is negative or not a whole number.
    """
    if values.dtype == np.bool_:
        return values.astype(np.int32)
    if np.issubdtype(values.dtype, np.floating):
        numbers = values.astype(np.float64)
        if not (np.isfinite(numbers).all() and (numbers == np.rint(numbers)).all()):
            raise LabelError(f"{file}: values that are not whole numbers; give a mask or a label image")
        values = numbers if numbers.max(initial=0) > _INT32_MAX else numbers.astype(np.int64)
    elif not np.issubdtype(values.dtype, np.integer):
        raise LabelError(f"{file}: values of type {values.dtype}; give a mask or a label image of integers")
    if values.size and values.min() < 0:
        raise LabelError(f"{file}: negative values; background is 0 and every nucleus a number above")
    if values.size and values.max() > _INT32_MAX:
        found, inverse = np.unique(values, return_inverse=True)
        values = (inverse + (found[0] != 0)).reshape(values.shape)
    whole: npt.NDArray[np.int32] = values.astype(np.int32, copy=False)
    return whole


def _one_band(file: Path, values: Values) -> Values:
    """Return (H, W) from (H, W[, bands]); grey stored as RGB is accepted, colour codes are refused."""
    if values.ndim == 2:
        return values
    bands = values[..., :3] if values.shape[-1] >= 3 else values[..., :1]
    if not (bands == bands[..., :1]).all():
        raise LabelError(
            f"{file}: a colour image; labels in colours are ambiguous: give one number per nucleus (16-bit "
            "PNG or TIFF) or a black and white mask"
        )
    return bands[..., 0]


def read_png(file: Path, shape: Shape | None) -> Values:
    """Return the values of a PNG, (H, W); the size is checked before anything is decoded."""
    import warnings

    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # The size is checked below, with a message of our own.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file, formats=["PNG"]) as picture:
                check_shape(file, (picture.height, picture.width), shape)
                values = np.asarray(picture)
    except (UnidentifiedImageError, SyntaxError, ValueError, EOFError) as error:
        raise LabelError(f"{file}: not a readable PNG: {error}") from error
    except Image.DecompressionBombError:
        raise LabelError(f"{file}: too large for a PNG of labels; give it as TIFF") from None
    return _one_band(file, values)


def read_tiff(file: Path, shape: Shape | None) -> Values:
    """Return the values of the first image of a TIFF, (H, W); the size is checked before decoding."""
    import tifffile

    try:
        with tifffile.TiffFile(file) as tiff:
            series = tiff.series[0]
            axes, sizes = series.axes, series.shape
            spatial = {axis: size for axis, size in zip(axes, sizes, strict=True) if size > 1 or axis in "YX"}
            if not set("YX") <= set(spatial) or not set(spatial) <= set("YXSC"):
                raise LabelError(f"{file}: a stack of axes {axes}; give one plane of labels")
            check_shape(file, (spatial["Y"], spatial["X"]), shape)
            values = series.asarray()
    except (tifffile.TiffFileError, ValueError, IndexError, KeyError) as error:
        raise LabelError(f"{file}: not a readable TIFF: {error}") from error
    order = [axes.index("Y"), axes.index("X")]
    rest = [i for i in range(len(axes)) if i not in order]
    values = np.transpose(values, order + rest)
    values = values.reshape(*values.shape[:2], -1)
    return _one_band(file, values if values.shape[2] > 1 else values[..., 0])


def read_npy(file: Path, shape: Shape | None) -> Values:
    """Return the values of a NumPy file, (H, W); nothing is unpickled."""
    try:
        mapped = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise LabelError(f"{file}: not a readable array of numbers: {error}") from error
    if not isinstance(mapped, np.ndarray) or mapped.ndim != 2:
        raise LabelError(f"{file}: not an array of rows and columns")
    check_shape(file, mapped.shape, shape)
    return np.array(mapped)


def read_mat(file: Path, shape: Shape | None) -> Values:
    """Return `inst_map` of a CoNSeP label file, (H, W); the size is checked before it is read."""
    from scipy import io

    try:
        entries = {name: size for name, size, _ in io.whosmat(file)}
        if "inst_map" not in entries:
            found = ", ".join(sorted(entries)) or "nothing"
            raise LabelError(f"{file}: no `inst_map` in it (it holds {found}); give CoNSeP's Labels/*.mat")
        if len(entries["inst_map"]) != 2:
            raise LabelError(f"{file}: `inst_map` is not an image of rows and columns")
        check_shape(file, entries["inst_map"], shape)
        values: Any = io.loadmat(file, variable_names=["inst_map"])["inst_map"]
    except NotImplementedError:
        raise LabelError(
            f"{file}: a MATLAB 7.3 file, which is not supported; save it with `-v7` (MATLAB) "
            "or scipy's savemat"
        ) from None
    except LabelError:
        raise
    except Exception as error:  # scipy's reader raises anything on broken bytes
        raise LabelError(f"{file}: not a readable MATLAB file: {error}") from error
    if not isinstance(values, np.ndarray):
        raise LabelError(f"{file}: `inst_map` is not a plain array")
    return values
