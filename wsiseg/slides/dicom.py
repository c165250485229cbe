"""DICOM series: which files belong to one, whether they are complete, how pixels are coded."""

from __future__ import annotations

import mmap
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import SlideError
from wsiseg.slides.streams import JPEG_START, coded_as

TAGS = (
    *("SOPClassUID", "SeriesInstanceUID", "ImageType", "PhotometricInterpretation", "NumberOfOpticalPaths"),
    *("TotalPixelMatrixFocalPlanes", "TotalPixelMatrixColumns"),
)
FRAMES_SEEN = 24
PIXEL_DATA, LONG_OFFSETS = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff", b"\xe0\x7f\x01\0OV\0\0"
ITEM = b"\xfe\xff\0\xe0"
SLIDE_MICROSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.6"


def is_dicom(path: str) -> bool:
    """Whether a file starts as DICOM files do."""
    try:
        with open(path, "rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


@dataclass(frozen=True)
class Header:
    """What matters of the header of a whole-slide DICOM file.

    Parameters
    ----------
    path : str
        The file.
    series : str
        SeriesInstanceUID.
    image_type : tuple of str
        The third says what it shows (VOLUME, LABEL, OVERVIEW, THUMBNAIL), the fourth whether it was made from
        a finer level (NONE, RESAMPLED; PS3.3, C.8.12.4.1.1).
    photometric : str
        How its pixels claim to be coded.
    planes, paths : int
        Focal planes and optical paths.
    columns : int
        Width of its picture in pixels.
    """

    path: str
    series: str
    image_type: tuple[str, ...] = ()
    photometric: str = ""
    planes: int = 1
    paths: int = 1
    columns: int = 0

    @property
    def is_level(self) -> bool:
        """Whether it is a level of the slide, and no label, overview or thumbnail."""
        return "VOLUME" in self.image_type or len(self.image_type) < 3

    @property
    def is_resampled(self) -> bool:
        """Whether it was made from a finer level."""
        return "RESAMPLED" in self.image_type


def read_header(path: str) -> Header | None:
    """Return the header of a whole-slide DICOM file, None for anything else.

    Parameters
    ----------
    path : str
        The file.
    """
    if not is_dicom(path):
        return None
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))
            if str(found.get("SOPClassUID", "")) != SLIDE_MICROSCOPY or "SeriesInstanceUID" not in found:
                return None
            kind = found.get("ImageType") or ()
            return Header(
                path=path,
                series=str(found.SeriesInstanceUID),
                image_type=tuple(str(part).upper() for part in ((kind,) if isinstance(kind, str) else kind)),
                photometric=str(found.get("PhotometricInterpretation", "")),
                planes=int(found.get("TotalPixelMatrixFocalPlanes") or 1),
                paths=int(found.get("NumberOfOpticalPaths") or 1),
                columns=int(found.get("TotalPixelMatrixColumns") or 0),
            )
    except Exception:
        # pydicom raises all kinds of exceptions for a damaged header
        return None


def series_uid(path: str) -> str | None:
    """Return the SeriesInstanceUID of a whole-slide DICOM file, None for anything else."""
    header = read_header(path)
    return None if header is None else header.series


def series_in(folder: str) -> dict[str, list[str]]:
    """Return the files of a folder by whole-slide DICOM series, both in the order of names.

    Parameters
    ----------
    folder : str
        The folder to look in.

    Returns
    -------
    dict of str to list of str
        SeriesInstanceUID to paths.
    """
    series: dict[str, list[str]] = {}
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise SlideError(folder, f"cannot be read: {error.strerror}") from None
    for name in names:
        path = os.path.join(folder, name)
        if name.startswith(".") or not os.path.isfile(path) or not is_dicom(path):
            continue
        uid = series_uid(path)
        if uid is not None:
            series.setdefault(uid, []).append(path)
    return series


def first_instance(folder: str) -> str:
    """Return a file of the only series in a folder.

    Raises
    ------
    SlideError
        When the folder holds none, or several.
    """
    series = series_in(folder)
    if not series:
        raise SlideError(folder, "is a folder without a whole-slide DICOM series")
    if len(series) > 1:
        raise SlideError(folder, f"holds {len(series)} DICOM series; give one file of the series you want")
    return next(iter(series.values()))[0]


def check_series(path: str) -> None:
    """Refuse a DICOM series that is damaged, not whole, or more than one picture.

    Parameters
    ----------
    path : str
        Any file of it.

    Raises
    ------
    SlideError
        When a file of it leads outside of itself, for focal planes and for several optical paths.
    """
    series = series_uid(path)
    folder = os.path.dirname(path) or "."
    levels: list[Header] = []
    for name in sorted(os.listdir(folder)):
        other = os.path.join(folder, name)
        if not os.path.isfile(other) or not is_dicom(other):
            continue
        header = read_header(other)
        # OpenSlide opens what it takes for the series; a damaged header may not say so here
        if header is None or header.series == series:
            check_frames(other)
        if header is not None and header.series == series and header.is_level:
            levels.append(header)
    for header in levels:
        if header.planes > 1 or header.paths > 1:
            raise SlideError(
                path,
                f"it has {header.planes} focal planes and {header.paths} optical paths, not one RGB image",
            )


def missing_level(path: str) -> str:
    """Return in words that a series lacks its original level, nothing where it has it.

    Parameters
    ----------
    path : str
        Any file of the series.
    """
    levels = _levels_of(path)
    if not levels or not all(header.is_resampled for header in levels):
        return ""
    return (
        "its series has resampled levels only, so level 0 is missing and coordinates are those of a smaller "
        "picture: copy all files of the series into this folder"
    )


def _levels_of(path: str) -> list[Header]:
    asked = read_header(path)
    every = [] if asked is None else map(read_header, _beside(path))
    return [
        h for h in every if h is not None and asked is not None and h.series == asked.series and h.is_level
    ]


def check_pixels(path: str) -> tuple[bool, tuple[str, ...]]:
    """Return whether frames are YCbCr where the header says RGB, which OpenSlide believes; and a remark.

    Parameters
    ----------
    path : str
        Any file of the series.

    Raises
    ------
    SlideError
        When frames and header disagree in a way that cannot be corrected or recognised.
    """
    levels = _levels_of(path)
    if not levels:
        return False, ()
    header = max(levels, key=lambda h: h.columns)
    coded = {coded_as(frame) for frame in _some_frames(header.path)} - {None}
    says_rgb = header.photometric == "RGB"
    if coded == {"YCbCr"} and says_rgb:
        return True, ("its header says RGB, its frames are YCbCr: they were taken for what they are",)
    if (coded == {"RGB"} and not says_rgb) or len(coded) > 1:
        forms = " and ".join(sorted(map(str, coded)))
        raise SlideError(
            path,
            f"its header says {header.photometric}, its frames are coded as {forms}: colours cannot be told",
        )
    return False, ()


def from_ycbcr(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return RGBA of pixels whose first three samples are YCbCr (full range, as in JPEG), (H, W, 4)."""
    import cv2

    out = rgba.copy()
    decoded = cv2.cvtColor(np.ascontiguousarray(rgba[..., [0, 2, 1]]), cv2.COLOR_YCrCb2RGB)
    seen = rgba[..., 3] > 0
    out[seen, :3] = decoded[seen]
    return out


def _beside(path: str) -> Iterator[str]:
    folder = os.path.dirname(path) or "."
    paths = (os.path.join(folder, name) for name in sorted(os.listdir(folder)))
    return (other for other in paths if os.path.isfile(other))


def _some_frames(path: str) -> list[bytes]:
    """Return some JPEG frames of a file that was checked, spread over it."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(PIXEL_DATA)
        if at < 0:
            return []
        at += len(PIXEL_DATA)
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        places = []
        while data[at : at + 4] == ITEM:
            length = int.from_bytes(data[at + 4 : at + 8], "little")
            if data[at + 8 : at + 10] == JPEG_START:
                places.append((at + 8, length))
            at += 8 + length
        step = max(1, len(places) // FRAMES_SEEN)
        return [data[start : start + length] for start, length in places[::step]]


def check_frames(path: str) -> None:
    """Refuse a DICOM file whose table of frames leads outside of it: OpenSlide 4 follows it and crashes.

    Parameters
    ----------
    path : str
        The file.

    Raises
    ------
    SlideError
        When a frame does not start and end inside the file.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(PIXEL_DATA)
        if at < 0:
            return
        table = at + len(PIXEL_DATA)
        length = _item_length(path, data, table)
        first = table + 8 + length
        offsets = np.frombuffer(data[table + 8 : first], "<u4", length // 4).tolist()
        extended = data.find(LONG_OFFSETS, 0, at)
        if extended >= 0:
            start = extended + len(LONG_OFFSETS) + 4
            count = int.from_bytes(data[start - 4 : start], "little")
            offsets += np.frombuffer(data[start : start + count // 8 * 8], "<u8").tolist()
        for offset in offsets:
            _item_length(path, data, first + offset)
        while not offsets and data[first : first + 4] == ITEM:
            first += 8 + _item_length(path, data, first)


def _item_length(path: str, data: mmap.mmap, at: int) -> int:
    """Return the length of the item at a place (PS3.5, 7.5), which must end inside the file."""
    length = int.from_bytes(data[at + 4 : at + 8], "little")
    if at + 8 > len(data) or data[at : at + 4] != ITEM or at + 8 + length > len(data):
        raise SlideError(path, "its frames lead outside the file; it is damaged or cut off")
    return length
