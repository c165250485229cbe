"""The stages of one slide as functions of a block or tile; workers run them in any order, each at most once.

Network blocks have one size, are anchored to the slide and trimmed to its tissue: what the network sees of a
pixel never depends on the tile size, and so neither does the confidence, bit for bit.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from wsiseg.config import ObjectsConfig
from wsiseg.errors import SlideError
from wsiseg.inference.kernel import Kernel
from wsiseg.network.architecture import RADIUS_PX
from wsiseg.objects.certainty import certain_ones
from wsiseg.objects.records import describe
from wsiseg.objects.segment import Segmented, segment
from wsiseg.slides.stain import haematoxylin_density
from wsiseg.slides.tissue import Tissue
from wsiseg.slides.view import SlideView
from wsiseg.store.blocks import trimmed_core
from wsiseg.store.slide_store import DONE, FAILED, STAIN_DOWNSAMPLE, SlideStore
from wsiseg.tiles import Box

if TYPE_CHECKING:
    import pyarrow as pa

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
        return give_up_block(job, row, col, error.cause)
    clock.lap("read")
    inner = box.slices_in(window)
    confidence = job.kernel.confidence_u8(rgb, job.table, inner)
    clock.lap("network")
    stain = _halved(haematoxylin_density(rgb[inner]))
    store.files("0").write(row, col, _whole(core, box, confidence))
    store.files("haematoxylin").write(row, col, _whole(_half_box(core), _half_box(box), stain))
    store.status("network").mark(row, col, DONE)
    clock.lap("write")
    return StageResult("network", row, col, box.width * box.height, seconds=clock.seconds)


def give_up_block(job: NetworkJob, row: int, col: int, cause: str) -> StageResult:
    """Mark a block as failed; it stays empty."""
    job.store.note_failure(row, col, cause)
    job.store.status("network").mark(row, col, FAILED)
    return StageResult("network", row, col, failure=cause)


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
    rows, cols = array.shape
    return np.asarray(cv2.resize(array, (cols // 2, rows // 2), interpolation=cv2.INTER_AREA), np.uint8)


def _whole(core: Box, box: Box, values: UInt8) -> UInt8:
    """Return a whole core, zero outside `box`."""
    if box == core:
        return values
    whole = np.zeros((core.height, core.width), values.dtype)
    whole[box.slices_in(core)] = values
    return whole


def compute_tile(job: ObjectsJob, row: int, col: int) -> StageResult:
    """Find the nuclei that touch one tile; write their pixels and the records of those that it owns.

    Those that are not certain get no record, and what has no record is not painted by any tile.
    """
    import pyarrow as pa

    store, pixels, clock = job.store, job.pixels, _Clock()
    core, frame = store.tiles.tile(row, col).core, store.frame

    def confidence(box: Box) -> UInt8:
        return pixels.files("0").read(box)

    found = segment(confidence, core, store.tiles.frame, frame.mpp, job.config, job.threshold)
    found = _within_computed(_within_tissue(found, job), job)
    clock.lap("objects")
    table = describe(
        found, lambda box: pixels.files("haematoxylin").read(box), frame.mpp, frame.scale_l0, job.config
    )
    table = certain_ones(table, job.threshold, job.config.certainty)
    clock.lap("describe")
    store.files("work/labels").write(row, col, found.labels)
    markers = pa.table({"marker_row": found.markers[:, 0], "marker_col": found.markers[:, 1]})
    store.write_records(row, col, {"nuclei": table, "markers": markers})
    store.status("objects").mark(row, col, DONE)
    clock.lap("write")
    return StageResult("objects", row, col, nuclei=table.num_rows, seconds=clock.seconds)


def _within_tissue(found: Segmented, job: ObjectsJob) -> Segmented:
    """Drop the objects whose marker lies off the tissue."""
    scale = job.store.frame.scale_l0
    places_l0 = (found.markers.astype(np.float64) + 0.5) * scale
    return found.kept(job.tissue.at(places_l0[:, 1], places_l0[:, 0]))


def _within_computed(found: Segmented, job: ObjectsJob) -> Segmented:
    """Drop what the clean-up has added in blocks that the network did not see, as in a corner between three.

    No tile and no label is looked for there, so that it would be in the polygons alone.
    """
    blocks, status = job.store.blocks, job.pixels.status("network")
    for block in blocks.meeting(found.window):
        if status.at(block.row, block.col) == DONE:
            continue
        inside = block.core.clipped(found.window).slices_in(found.window)
        if found.window_labels[inside].any():
            core = block.core
            rows, cols = found.markers.T
            off = (rows >= core.y0) & (rows < core.y1) & (cols >= core.x0) & (cols < core.x1)
            found = found.kept(~off)
            labels = found.window_labels.copy()
            labels[inside] = 0
            found = replace(found, window_labels=labels)
    return found


def paint_labels(job: ObjectsJob, row: int, col: int) -> StageResult:
    """Write one shard of the label image with the final ids: places among the sorted keys, from 1."""
    store, clock = job.store, _Clock()
    keys = store.keys
    core = store.blocks.tile(row, col).core
    painted = np.zeros((core.height, core.width), np.uint32)
    status = store.status("objects")
    for tile in store.tiles.meeting(core):
        if status.at(tile.row, tile.col) != DONE:
            continue
        shared = tile.core.clipped(core)
        local = store.files("work/labels").read(shared)
        markers = store.read_records(tile.row, tile.col, "markers")
        painted[shared.slices_in(core)] = _ids(keys, marker_keys(markers, store.frame.width))[local]
    store.files("labels/nuclei/0").write(row, col, painted)
    store.status("labels").mark(row, col, DONE)
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
    coarse, fine = store.files(f"{group}{level}"), store.files(f"{group}{level - 1}")
    height, width = fine.shape
    side = 2 * coarse.file_px
    box = Box(col * side, row * side, (col + 1) * side, (row + 1) * side)
    source = fine.read(box.clipped(Box(0, 0, width, height)))
    coarse.write(row, col, source[::2, ::2] if group else _halved(source))
    store.status(f"{group}{level}").mark(row, col, DONE)
    clock.lap("pyramid")
    return StageResult("pyramid", row, col, seconds=clock.seconds)
