"""The folder of a slide's report, and the small picture of the slide in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsiseg.machine.marks import is_ours
from wsiseg.machine.replacing import write_output
from wsiseg.report.page import jpeg
from wsiseg.store.outputs import REPORTS, THUMBNAIL

SIDE_PX = 1000


def report_folder(output: Path, name: str) -> Path:
    """Return where the report of a slide is kept in the output folder."""
    return output / REPORTS / name


def start_report(output: Path, name: str, rgb: npt.NDArray[np.uint8]) -> None:
    """Start the report of a slide with its thumbnail; delete pictures of an earlier run."""
    folder = report_folder(output, name)
    for file in folder.glob("*"):
        if file.is_file() and is_ours(file):
            file.unlink(missing_ok=True)
    write_thumbnail(folder, rgb)


def write_thumbnail(folder: Path, rgb: npt.NDArray[np.uint8]) -> None:
    """Write a picture of a whole slide, uint8 (H, W, 3), as a JPEG of at most 1000 px."""
    import cv2

    longer = max(rgb.shape[:2])
    if longer > SIDE_PX:
        size = tuple(max(1, round(side * SIDE_PX / longer)) for side in (rgb.shape[1], rgb.shape[0]))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    write_output(folder / THUMBNAIL, jpeg(rgb))
