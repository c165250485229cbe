"""A store for the viewer, made by hand: every pixel and every nucleus of it is known."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray
from PIL import Image

from wsiseg.config import ObjectsConfig
from wsiseg.objects.parquet import file_schema
from wsiseg.slides import open_slide
from wsiseg.slides.tissue import Tissue
from wsiseg.store.identity import FrameInfo, Identity
from wsiseg.store.layout import create_store

WIDTH_L0, HEIGHT_L0, SCALE_L0, MPP = 1200, 900, 2, 0.5
THRESHOLD = 0.4


def square(x: float, y: float, side: float) -> Any:
    """Return a square with its corner at (x, y)."""
    return shapely.box(x, y, x + side, y + side)


NUCLEI = [
    # outline in level-0 pixels, mean confidence
    (square(100, 60, 40), 0.9),
    (square(500, 100, 40), 0.5),  # over the border between the tiles 0 and 1
    (square(700, 600, 60).difference(square(720, 620, 20)), 0.7),  # with a hole
    (shapely.MultiPolygon([square(300, 700, 20), square(340, 700, 20)]), 0.6),
    (square(1060, 250, 32), 0.45),
]


def picture() -> NDArray[np.uint8]:
    """Return the slide: pink, with a ramp of red over x and of green over y, and dark nuclei."""
    y, x = np.mgrid[:HEIGHT_L0, :WIDTH_L0]
    rgb = np.stack([160 + x * 80 // WIDTH_L0, 120 + y * 80 // HEIGHT_L0, np.full_like(x, 190)], axis=-1)
    for outline, _ in NUCLEI:
        rgb[shapely.contains_xy(outline, x + 0.5, y + 0.5)] = (90, 50, 140)
    return rgb.astype(np.uint8)


def confidence() -> NDArray[np.uint8]:
    """Return the confidence at the frame's resolution: each nucleus has its own, falling off to its right."""
    y, x = (np.mgrid[: HEIGHT_L0 // SCALE_L0, : WIDTH_L0 // SCALE_L0] + 0.5) * SCALE_L0
    found = np.zeros(x.shape, np.uint8)
    for outline, mean in NUCLEI:
        found[shapely.contains_xy(outline, x, y)] = round(255 * mean)
    return found


def make_viewed(folder: Path, mpp: float = MPP) -> Path:
    """Write `slide.png`, `slide.zarr` and `slide.parquet` into a folder; return the store.

    `mpp` is the frame's: pixels of level 0 measure half of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    slide = folder / "slide.png"
    Image.fromarray(picture()).save(slide)
    with open_slide(slide) as opened:
        fingerprint = opened.fingerprint
    frame = FrameInfo(WIDTH_L0 // SCALE_L0, HEIGHT_L0 // SCALE_L0, mpp, SCALE_L0)
    objects = {**asdict(ObjectsConfig()), "threshold": THRESHOLD}
    mask = np.zeros((9, 12), np.bool_)
    mask[1:8, 1:11] = True
    provenance = {"name": "slide", "slide": str(slide), "summary": {"nuclei": len(NUCLEI)}}
    store = create_store(
        folder / "slide.zarr",
        Identity("none", fingerprint, frame, objects, {}),
        Tissue(mask, 100.0),
        2048,
        provenance,
    )
    store.array("0")[:] = confidence()
    store.array("1")[:] = confidence()[::2, ::2]
    store.array("haematoxylin")[:] = confidence()[::2, ::2] // 2
    store.annotate(state="complete", failures=[])
    store.remove_work()
    write_nuclei(folder / "slide.parquet", mpp=mpp)
    return store.path


def write_nuclei(path: Path, row_group: int = 2, mpp: float = MPP) -> None:
    """Write the nuclei as `predict` writes them, in row groups so small that there are several."""
    outlines = [outline for outline, _ in NUCLEI]
    centres = shapely.get_coordinates(shapely.centroid(outlines))
    mpp_l0 = mpp / SCALE_L0
    columns: dict[str, Any] = {name: np.full(len(NUCLEI), 0.5) for name in file_schema().names}
    columns |= {
        "id": np.arange(1, len(NUCLEI) + 1),
        "centroid_x_l0": centres[:, 0],
        "centroid_y_l0": centres[:, 1],
        "centroid_x_um": centres[:, 0] * mpp_l0,
        "centroid_y_um": centres[:, 1] * mpp_l0,
        "area_um2": shapely.area(outlines) * mpp_l0**2,
        "mean_confidence": np.array([mean for _, mean in NUCLEI]),
        "haematoxylin_mean": pa.nulls(len(NUCLEI)),
        "geometry": shapely.to_wkb(outlines),
    }
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in file_schema()]
    pq.write_table(
        pa.Table.from_arrays(arrays, schema=file_schema()), path, row_group_size=row_group, compression="zstd"
    )


def change(store: Path, **values: Any) -> None:
    """Change what a store says of itself."""
    root = store / "zarr.json"
    text = json.loads(root.read_text(encoding="utf-8"))
    text["attributes"]["wsiseg"].update(values)
    root.write_text(json.dumps(text), encoding="utf-8")
