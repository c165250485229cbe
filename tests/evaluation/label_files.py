"""Label files as tests write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr

XML = "<Annotations><Annotation Id='1'><Regions>{}</Regions></Annotation></Annotations>"


def region(*vertices: tuple[float, float], negative: int = 0) -> str:
    points = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in vertices)
    return f'<Region Id="1" NegativeROA="{negative}"><Vertices>{points}</Vertices></Region>'


def feature(
    rings: Any, kind: str | None = "detection", shape: str = "Polygon", **more: Any
) -> dict[str, Any]:
    properties = {"objectType": kind} if kind else {}
    return {
        "type": "Feature",
        "geometry": {"type": shape, "coordinates": rings},
        "properties": properties,
        **more,
    }


def square(x0: float, y0: float, x1: float, y1: float) -> list[list[float]]:
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]


def store(path: Path, nuclei: Any, frame: dict[str, Any] | None) -> Path:
    root = zarr.open_group(str(path), mode="w", zarr_format=3)
    if frame:
        root.attrs["wsiseg"] = {"identity": {"frame": frame}}
    group = root.create_group("labels/nuclei")
    transform = [{"type": "scale", "scale": [0.5, 0.5]}]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [{"axes": [], "datasets": [{"path": "0", "coordinateTransformations": transform}]}],
    }
    array = group.create_array("0", shape=np.shape(nuclei), dtype="uint32")
    array[:] = np.asarray(nuclei, np.uint32)
    return path
