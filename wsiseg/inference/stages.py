"""The stages of one slide as functions of a block or tile; workers run them in any order, each at most once.

Network blocks have one size, are anchored to the slide and trimmed to its tissue: what the network sees of a
pixel never depends on the tile size, and so neither does the confidence, bit for bit.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wsiseg.config import ObjectsConfig
from wsiseg.errors import SlideError
from wsiseg.inference.kernel import Kernel
from wsiseg.inference.store import DONE, FAILED, STAIN_DOWNSAMPLE, SlideStore
from wsiseg.network.architecture import RADIUS_PX
from wsiseg.objects.records import describe
from wsiseg.objects.segment import Segmented, segment
from wsiseg.slides.stain import haematoxylin_density
from wsiseg.slides.tiles import Box
from wsiseg.slides.tissue import Tissue
from wsiseg.slides.view import SlideView

if TYPE_CHECKING:
    import pyarrow as pa

# Blocks are trimmed to the tissue in steps of this many pixels.
TRIM_PX = 256
READ_ATTEMPTS = 2

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class NetworkJob:
    """What a worker needs to compute a slide's blocks; it opens slide, store and network by itself.

    Parameters
    ----------
    view : SlideView
        The slide at the model's resolution.
    tissue : Tissue
    kernel : Kernel
    table : ndarray of float32, (3, 256, 3)
        What the network sees of the slide's pixels, see `wsiseg.network.appearance`.
    store : SlideStore
        Where confidence and stain are written.
    """

    view: SlideView
    tissue: Tissue
    kernel: Kernel
    table: npt.NDArray[np.float32]
    store: SlideStore


@dataclass(frozen=True)
class ObjectsJob:
    """What a worker needs to find a slide's nuclei.

    Parameters
    ----------
    pixels : SlideStore
        Where confidence and stain are read.
    store : SlideStore
        Where nuclei are written; for `predict` the same store.
    tissue : Tissue
    config : ObjectsConfig
    threshold : float
        Confidence from which a pixel is nucleus.
    """

    pixels: SlideStore
    store: SlideStore
    tissue: Tissue
    config: ObjectsConfig
    threshold: float


@dataclass(frozen=True)
class StageResult:
    """What a stage tells the client of one block or tile.

    Parameters
    ----------
    stage : str
        "network", "objects" or "labels".
    row, col : int
        Place in the stage's grid.
    pixels : int
        Frame pixels computed.
    nuclei : int
        Nuclei owned by the tile.
    seconds : dict
        Thread seconds by step.
    failure : str or None
        Why the block stayed empty.
    """

    stage: str
    row: int
    col: int
    pixels: int = 0
    nuclei: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    failure: str | None = None


class _Clock:
    """Seconds of one thread by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self.seconds[step] = self.seconds.get(step, 0.0) + now - self._last
        self._last = now


def trimmed_core(core: Box, tissue: Tissue, scale_l0: float) -> Box | None:
    """Return the part of a block's core that is computed: the cells of TRIM_PX that meet tissue, boxed."""
    cells = [
        Box(x, y, x + TRIM_PX, y + TRIM_PX).clipped(core)
        for y in range(core.y0, core.y1, TRIM_PX)
        for x in range(core.x0, core.x1, TRIM_PX)
    ]
    met = [cell for cell in cells if tissue.meets(*(side * scale_l0 for side in cell))]
    if not met:
        return None
    x0, y0, x1, y1 = zip(*met, strict=True)
    return Box(min(x0), min(y0), max(x1), max(y1))


def compute_block(job: NetworkJob, row: int, col: int) -> StageResult:
    """Read one block, run the network and write confidence and stain.

    A block that cannot be decoded stays empty and is marked as failed, with its cause in the result.
    """
    store, clock = job.store, _Clock()
    core = store.blocks.tile(row, col).core
    box = trimmed_core(core, job.tissue, job.view.scale_l0)
    if box is None:
        raise ValueError(f"block {row}, {col} meets no tissue")
    window = box.grown(RADIUS_PX).clipped(store.blocks.frame)
    try:
        rgb = _read(job.view, window)
    except SlideError as error:
        store.note_failure(row, col, error.cause)
        store.array("status/network")[row, col] = FAILED
        return StageResult("network", row, col, seconds=clock.seconds, failure=error.cause)
    clock.lap("read")
    inner = box.slices_in(window)
    confidence = np.rint(job.kernel.engine.confidence(rgb, job.table)[inner] * 255).astype(np.uint8)
    clock.lap("network")
    stain = _halved(haematoxylin_density(rgb[inner]))
    _write(store, "0", core, box, confidence)
    _write(store, "haematoxylin", _half_box(core), _half_box(box), stain)
    store.array("status/network")[row, col] = DONE
    clock.lap("write")
    return StageResult("network", row, col, box.width * box.height, seconds=clock.seconds)


def _read(view: SlideView, window: Box) -> UInt8:
    for attempt in range(READ_ATTEMPTS):
        try:
            return view.read(window)
        except SlideError:
            if attempt == READ_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _half_box(box: Box) -> Box:
    # Blocks and their trimmed cells start at even pixels.
    return Box(*(-(-side // STAIN_DOWNSAMPLE) for side in box))


def _halved(array: UInt8) -> UInt8:
    """Return the mean of each 2 x 2 pixels, rounded half up; an odd last row or column repeats itself."""
    height, width = array.shape
    if height % 2 or width % 2:
        array = np.pad(array, ((0, height % 2), (0, width % 2)), mode="edge")
    wide = array.astype(np.uint16)
    total = wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2]
    return ((total + 2) >> 2).astype(np.uint8)


def _write(store: SlideStore, name: str, core: Box, box: Box, values: UInt8) -> None:
    """Write a whole core at once (no chunk is read back), zero outside `box`."""
    whole = np.zeros((core.height, core.width), values.dtype)
    whole[box.slices_in(core)] = values
    store.array(name)[core.y0 : core.y1, core.x0 : core.x1] = whole


def compute_tile(job: ObjectsJob, row: int, col: int) -> StageResult:
    """Find the nuclei that touch one tile; write their pixels and the records of those that it owns."""
    import pyarrow as pa

    store, pixels, clock = job.store, job.pixels, _Clock()
    core, frame = store.tiles.tile(row, col).core, store.frame

    def confidence(box: Box) -> UInt8:
        return _window(pixels, "0", box)

    found = segment(confidence, core, store.tiles.frame, frame.mpp, job.config, job.threshold)
    found = _within_tissue(found, job)
    clock.lap("objects")
    table = describe(
        found, lambda box: _window(pixels, "haematoxylin", box), frame.mpp, frame.scale_l0, job.config
    )
    clock.lap("describe")
    store.array("work/labels")[core.y0 : core.y1, core.x0 : core.x1] = found.labels.astype(np.uint32)
    markers = pa.table({"marker_row": found.markers[:, 0], "marker_col": found.markers[:, 1]})
    store.write_records(row, col, {"nuclei": table, "markers": markers})
    store.array("status/objects")[row, col] = DONE
    clock.lap("write")
    return StageResult("objects", row, col, nuclei=table.num_rows, seconds=clock.seconds)


def _window(store: SlideStore, name: str, box: Box) -> UInt8:
    values: UInt8 = np.asarray(store.array(name)[box.y0 : box.y1, box.x0 : box.x1])
    return values


def _within_tissue(found: Segmented, job: ObjectsJob) -> Segmented:
    """Drop the objects whose marker lies off the tissue."""
    scale = job.store.frame.scale_l0
    places_l0 = (found.markers.astype(np.float64) + 0.5) * scale
    return found.kept(job.tissue.at(places_l0[:, 1], places_l0[:, 0]))


def paint_labels(job: ObjectsJob, row: int, col: int) -> StageResult:
    """Write one shard of the label image with the final ids: places among the sorted keys, from 1."""
    store, clock = job.store, _Clock()
    keys = store.keys
    core = store.blocks.tile(row, col).core
    painted = np.zeros((core.height, core.width), np.uint32)
    done = np.asarray(store.array("status/objects")[:]) == DONE
    for tile in store.tiles.meeting(core):
        if not done[tile.row, tile.col]:
            continue
        shared = tile.core.clipped(core)
        local = _window(store, "work/labels", shared)
        markers = store.read_records(tile.row, tile.col, "markers")
        painted[shared.slices_in(core)] = _ids(keys, marker_keys(markers, store.frame.width))[local]
    store.array("labels/nuclei/0")[core.y0 : core.y1, core.x0 : core.x1] = painted
    store.array("work/status/labels")[row, col] = DONE
    clock.lap("labels")
    return StageResult("labels", row, col, seconds=clock.seconds)


def _ids(keys: npt.NDArray[np.int64], local: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """Return the id of each local label; 0 for the background and for nuclei that have no record."""
    ids = np.zeros(len(local) + 1, np.uint32)
    if len(keys):
        place = np.searchsorted(keys, local)
        known = keys[np.minimum(place, len(keys) - 1)] == local
        ids[1:] = np.where(known, place + 1, 0)
    return ids


CELL_PX = 2048


def marker_keys(table: pa.Table, width: int) -> npt.NDArray[np.int64]:
    """Return the keys that order nuclei: by cell of CELL_PX, row and column; the same for any tiling.

    Parameters
    ----------
    table : pyarrow.Table
        With the marker pixels in the columns `marker_row` and `marker_col`.
    width : int
        Width of the frame in pixels.
    """
    rows = table["marker_row"].to_numpy().astype(np.int64)
    cols = table["marker_col"].to_numpy().astype(np.int64)
    cells = (rows // CELL_PX) * -(-width // CELL_PX) + cols // CELL_PX
    keys: npt.NDArray[np.int64] = (cells * CELL_PX + rows % CELL_PX) * CELL_PX + cols % CELL_PX
    return keys


def reduce_level(job: ObjectsJob, group: str, level: int, row: int, col: int) -> StageResult:
    """Write one shard of a pyramid level from the level below: mean of confidence, nearest of labels."""
    store, clock = job.store, _Clock()
    coarse, fine = store.array(f"{group}{level}"), store.array(f"{group}{level - 1}")
    shard_px = int(coarse.shards[0]) if coarse.shards else int(coarse.chunks[0])
    y0, x0 = row * shard_px, col * shard_px
    y1, x1 = min(y0 + shard_px, coarse.shape[0]), min(x0 + shard_px, coarse.shape[1])
    source = np.asarray(fine[2 * y0 : 2 * y1, 2 * x0 : 2 * x1])
    coarse[y0:y1, x0:x1] = source[::2, ::2] if group else _halved(source)
    clock.lap("pyramid")
    return StageResult("pyramid", row, col, seconds=clock.seconds)
