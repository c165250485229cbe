"""Images of a set put together as one slide, and what was found on it taken apart again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.fields import Field
from wsiseg.tiles import Box

GLASS = 245


def places(fields: Sequence[Field]) -> list[Box]:
    """Return where each image lies: rows of squares of the largest side, as many across as down."""
    side = max(max(field.rgb.shape[:2]) for field in fields)
    across = math.ceil(math.sqrt(len(fields)))
    corners = [(side * (k % across), side * (k // across)) for k in range(len(fields))]
    return [
        Box(x, y, x + field.rgb.shape[1], y + field.rgb.shape[0])
        for (x, y), field in zip(corners, fields, strict=True)
    ]


def put_together(fields: Sequence[Field], path: Path) -> Field:
    """Write the images as one and return it as a field; between and beside them is glass."""
    from PIL import Image

    boxes = places(fields)
    whole = np.full((max(box.y1 for box in boxes), max(box.x1 for box in boxes), 3), GLASS, np.uint8)
    for box, field in zip(boxes, fields, strict=True):
        whole[box.y0 : box.y1, box.x0 : box.x1] = field.rgb
    Image.fromarray(whole).save(path, compress_level=1)
    return Field(path.stem, path, path, None)


def apart(nuclei: npt.NDArray[np.int32], fields: Sequence[Field]) -> list[npt.NDArray[np.int32]]:
    """Return what was found on the mosaic in each of its images."""
    return [nuclei[box.y0 : box.y1, box.x0 : box.x1] for box in places(fields)]
