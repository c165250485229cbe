"""The pipeline of one slide: its stages as functions of one block, tile or shard, and the table of them.

Workers compute the places of a stage in any order, each at most once. Network blocks have one size, are
anchored to the slide and trimmed to its tissue: what the network sees of a pixel never depends on the tile
size, and so neither does the confidence, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wsiseg.errors import SlideError
from wsiseg.inference.graph import StageResult
from wsiseg.inference.job import SlideJob
from wsiseg.inference.regions import in_regions
from wsiseg.network.architecture import RADIUS_PX
from wsiseg.objects.certainty import certain_ones
from wsiseg.objects.records import ReadPlanes, describe
from wsiseg.objects.segment import Segmented, max_reach_px, segment
from wsiseg.slides.stain import haematoxylin_density, stain_planes
from wsiseg.slides.view import SlideView
from wsiseg.store.blocks import SHARD_PX
from wsiseg.store.chunks import ChunkFiles
from wsiseg.store.numbering import MARKER, MARKERS, NUCLEI, marker_keys
from wsiseg.store.slide_store import SlideStore
from wsiseg.store.states import Key, Stage, State
from wsiseg.tiles import Box, Grid

READ_ATTEMPTS = 2

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Step:
    """A stage of the pipeline, at one level if it is a pyramid's: one row of the table.

    Parameters
    ----------
    stage : Stage
        What is computed.
    level : int
        Level of a pyramid, else 0.
    grid : Grid
        Its blocks, tiles or shards, in pixels of its level.
    compute : callable
        Computes one of them; reads and writes the store.
    source : tuple of Stage and int, optional
        The step whose output it reads. A place is computed if its core has, or will have, such output,
        and it waits for that. Without a source a place is computed if it contains tissue.
    reach_px : int
        How far around its core a place reads, in pixels of the source.
    zoom : int
        Pixels of the source per pixel of its own.
    give_up : callable, optional
        Records that a place cannot be computed.
    """

    stage: Stage
    level: int
    grid: Grid
    compute: Callable[[SlideJob, Key], StageResult]
    source: tuple[Stage, int] | None = None
    reach_px: int = 0
    zoom: int = 1
    give_up: Callable[[SlideJob, Key, str], StageResult] | None = None


# Nuclei are numbered once all are found; labels are painted with these numbers.
FINDING = (Stage.NETWORK, Stage.OBJECTS, Stage.CONFIDENCE_PYRAMID)
PAINTING = (Stage.LABELS, Stage.LABEL_PYRAMID)


def table_of_steps(job: SlideJob) -> list[Step]:
    """Return the steps of a slide, each after its source."""
    blocks, tiles = job.store.blocks, job.store.tiles
    reach_px = max_reach_px(job.store.frame.mpp, job.config)
    network = (Stage.NETWORK, 0)
    return [
        Step(Stage.NETWORK, 0, blocks, compute_block, give_up=give_up_block),
        Step(Stage.OBJECTS, 0, tiles, compute_tile, network, reach_px),
        *_pyramid(Stage.CONFIDENCE_PYRAMID, job.store.confidence, network),
        Step(Stage.LABELS, 0, blocks, paint_labels, network),
        *_pyramid(Stage.LABEL_PYRAMID, job.store.labels, (Stage.LABELS, 0)),
    ]


def _pyramid(stage: Stage, images: tuple[ChunkFiles, ...], finest: tuple[Stage, int]) -> Iterator[Step]:
    source = finest
    for level, image in enumerate(images[1:], start=1):
        grid = Grid(image.frame.width, image.frame.height, SHARD_PX)
        yield Step(stage, level, grid, reduce_shard, source, zoom=2)
        source = (stage, level)


class _Clock:
    """Wall-clock seconds of the steps of one task."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, step: str) -> None:
        """End a step."""
        now = time.perf_counter()
        self.seconds[step] = now - self._last
        self._last = now


def compute_block(job: SlideJob, key: Key) -> StageResult:
    """Read one block, run the network and write confidence and stain.

    A block that cannot be decoded stays empty and is marked as failed, with its cause in the result.
    """
    store, network, clock = job.store, job.network, _Clock()
    if network is None:
        raise ValueError(f"{store.path}: no network for block {key.row}, {key.col}")
    core = store.blocks.tile(key.row, key.col).core
    box = store.computed_boxes[key.row, key.col]
    window = box.grown(RADIUS_PX).clipped(store.blocks.frame)
    try:
        rgb = _read(network.view, window)
    except SlideError as error:
        return give_up_block(job, key, error.cause)
    clock.lap("read")
    inner = box.slices_in(window)
    confidence = network.kernel.confidence_u8(rgb, network.table, inner)
    clock.lap("network")
    stain = _halved(haematoxylin_density(rgb[inner]))
    store.confidence[0].write(key.row, key.col, _padded(confidence, box, core))
    store.haematoxylin.write(key.row, key.col, _padded(stain, box.halved(), core.halved()))
    if store.planes:
        for plane, values in zip(store.planes, stain_planes(rgb[inner]), strict=True):
            plane.write(key.row, key.col, _padded(values, box, core))
    store.states(Stage.NETWORK).mark(key.row, key.col, State.DONE)
    clock.lap("write")
    return StageResult(key, pixels=box.width * box.height, seconds=clock.seconds)


def give_up_block(job: SlideJob, key: Key, cause: str) -> StageResult:
    """Mark a block as failed; it stays empty."""
    job.store.note_failure(key.row, key.col, cause)
    job.store.states(Stage.NETWORK).mark(key.row, key.col, State.FAILED)
    return StageResult(key, failure=cause)


def _read(view: SlideView, window: Box) -> UInt8:
    """Read a window; try twice, in case the file system failed for a moment."""
    for _ in range(READ_ATTEMPTS - 1):
        try:
            return view.read(window)
        except SlideError:
            continue
    return view.read(window)


def _halved(array: UInt8) -> UInt8:
    """Return the mean of each 2 x 2 pixels, rounded half up; an odd last row or column repeats itself."""
    height, width = array.shape
    if height % 2 or width % 2:
        array = np.pad(array, ((0, height % 2), (0, width % 2)), mode="edge")
    rows, cols = array.shape
    return np.asarray(cv2.resize(array, (cols // 2, rows // 2), interpolation=cv2.INTER_AREA), np.uint8)


def _padded(values: UInt8, box: Box, core: Box) -> UInt8:
    """Return the values of a whole core, zero outside `box`."""
    if box == core:
        return values
    padded = np.zeros((core.height, core.width), values.dtype)
    padded[box.slices_in(core)] = values
    return padded


def compute_tile(job: SlideJob, key: Key) -> StageResult:
    """Find the nuclei that touch one tile; write their pixels and the records of those that it owns.

    Those that are not certain get no record, and what has no record is not painted by any tile.
    """
    store, clock = job.store, _Clock()
    core, frame = store.tiles.tile(key.row, key.col).core, store.frame
    found = segment(store.confidence[0].read, core, store.tiles.frame, frame.mpp, job.config, job.threshold)
    found = _within_computed(_within_tissue(found, job), job)
    clock.lap("objects")
    nuclei = describe(found, store.haematoxylin.read, frame.mpp, frame.scale_l0, job.config, planes_of(store))
    nuclei = certain_ones(nuclei, job.threshold, job.config.certainty)
    nuclei = in_regions(nuclei, store.regions)
    clock.lap("describe")
    store.tile_labels.write(key.row, key.col, found.labels)
    markers = pa.table(dict(zip(MARKER, found.markers.T, strict=True)))
    store.write_records(key.row, key.col, {NUCLEI: nuclei, MARKERS: markers})
    store.states(Stage.OBJECTS).mark(key.row, key.col, State.DONE)
    clock.lap("write")
    return StageResult(key, nuclei=nuclei.num_rows, seconds=clock.seconds)


def planes_of(store: SlideStore) -> ReadPlanes | None:
    """Return what reads stain and grey level of a box, uint8 (3, height, width); None where none are kept."""
    if not store.planes:
        return None
    return lambda box: np.stack([plane.read(box) for plane in store.planes])


def _within_tissue(found: Segmented, job: SlideJob) -> Segmented:
    """Drop the objects whose marker lies off the tissue."""
    places_l0 = (found.markers.astype(np.float64) + 0.5) * job.store.frame.scale_l0
    return found.kept(job.store.tissue.at(places_l0[:, 1], places_l0[:, 0]))


def _within_computed(found: Segmented, job: SlideJob) -> Segmented:
    """Drop what the clean-up added in blocks that the network did not see, as in the corner of three blocks.

    No tile or label is computed there, so it would appear in the polygons only.
    """
    states = job.store.states(Stage.NETWORK)
    for block in job.store.blocks.meeting(found.window):
        if states.at(block.row, block.col) is State.DONE:
            continue
        core = block.core
        inside = core.clipped(found.window).slices_in(found.window)
        if found.window_labels[inside].any():
            rows, cols = found.markers.T
            is_off = (rows >= core.y0) & (rows < core.y1) & (cols >= core.x0) & (cols < core.x1)
            found = found.kept(~is_off)
            labels = found.window_labels.copy()
            labels[inside] = 0
            found = replace(found, window_labels=labels)
    return found


def paint_labels(job: SlideJob, key: Key) -> StageResult:
    """Write one shard of the label image with the final ids: places among the sorted keys, from 1."""
    store, clock = job.store, _Clock()
    core = store.blocks.tile(key.row, key.col).core
    painted = np.zeros((core.height, core.width), np.uint32)
    states = store.states(Stage.OBJECTS)
    for tile in store.tiles.meeting(core):
        if states.at(tile.row, tile.col) is not State.DONE:
            continue
        shared = tile.core.clipped(core)
        local = store.tile_labels.read(shared)
        markers = store.read_records(tile.row, tile.col, MARKERS)
        ids = _ids(store.keys, marker_keys(markers, store.frame.width))
        painted[shared.slices_in(core)] = ids[local]
    store.labels[0].write(key.row, key.col, painted)
    store.states(Stage.LABELS).mark(key.row, key.col, State.DONE)
    clock.lap("labels")
    return StageResult(key, seconds=clock.seconds)


def _ids(keys: npt.NDArray[np.int64], local: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """Return the id of each local label; 0 for the background and for nuclei that have no record."""
    ids = np.zeros(len(local) + 1, np.uint32)
    if len(keys):
        place = np.searchsorted(keys, local)
        is_known = keys[np.minimum(place, len(keys) - 1)] == local
        ids[1:] = np.where(is_known, place + 1, 0)
    return ids


def reduce_shard(job: SlideJob, key: Key) -> StageResult:
    """Write one shard of a pyramid level from the level below: mean of confidence, nearest of labels."""
    store, clock = job.store, _Clock()
    is_labels = key.stage is Stage.LABEL_PYRAMID
    pyramid = store.labels if is_labels else store.confidence
    coarse, fine = pyramid[key.level], pyramid[key.level - 1]
    core = Grid(coarse.frame.width, coarse.frame.height, SHARD_PX).tile(key.row, key.col).core
    below = fine.read(Box(*(2 * side for side in core)).clipped(fine.frame))
    coarse.write(key.row, key.col, below[::2, ::2] if is_labels else _halved(below))
    store.states(key.stage, key.level).mark(key.row, key.col, State.DONE)
    clock.lap("pyramid")
    return StageResult(key, seconds=clock.seconds)
