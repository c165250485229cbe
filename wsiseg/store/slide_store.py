"""The Zarr store of one slide: OME-Zarr 0.5 when finished, with the state of the work until then.

`OUT/<name>.zarr.unfinished` is renamed to `OUT/<name>.zarr` when everything in it is complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import zarr

from wsiseg import __version__
from wsiseg.errors import StoreError
from wsiseg.machine.whole import put_whole, write_whole
from wsiseg.slides.regions import Regions, parse_regions
from wsiseg.slides.tissue import Tissue
from wsiseg.store import names
from wsiseg.store.blocks import SHARD_PX, computed_boxes
from wsiseg.store.chunks import ChunkFiles, StateFiles
from wsiseg.store.identity import FrameInfo
from wsiseg.store.states import Progress, Stage
from wsiseg.tiles import Box, Grid

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1


class SlideStore:
    """Arrays, states and records of one slide; opens lazily, so that workers receive only its path.

    Parameters
    ----------
    path : path-like
        The store's folder.
    pixels : SlideStore, optional
        Another store of the slide, whose confidence, stain and network states replace its own.
    """

    def __init__(self, path: str | os.PathLike[str], pixels: SlideStore | None = None) -> None:
        self.path = Path(path)
        self._pixels = pixels

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_pixels": self._pixels}

    @cached_property
    def root(self) -> zarr.Group:
        """The root group."""
        try:
            return zarr.open_group(self.path, mode="r+", zarr_format=3)
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(f"{self.path}: not a Zarr store of wsiseg: {error}") from error

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """What the root attributes record about the run."""
        stored = self.root.attrs.asdict().get("wsiseg")
        if not isinstance(stored, dict) or stored.get("format") != FORMAT:
            raise StoreError(
                f"{self.path}: {_maker(stored)}, this is wsiseg {__version__}, which reads format {FORMAT}; "
                "choose another folder, or replace it with --overwrite"
            )
        return stored

    @property
    def is_complete(self) -> bool:
        """Whether the slide is finished."""
        return bool(self.provenance["state"] == Progress.COMPLETE)

    @property
    def name(self) -> str:
        """Name of the slide's outputs."""
        return str(self.provenance["name"])

    @property
    def scan_l0(self) -> tuple[int, int, int, int] | None:
        """x, y, width and height of the scan on the slide in level-0 pixels, where the slide says it."""
        found = self.provenance.get("scan_l0")
        return None if found is None else (int(found[0]), int(found[1]), int(found[2]), int(found[3]))

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the slide."""
        return str(self.provenance["identity"]["slide"])

    @cached_property
    def frame(self) -> FrameInfo:
        """The frame of the arrays at level 0 of their pyramids."""
        return FrameInfo(**self.provenance["identity"]["frame"])

    @property
    def threshold(self) -> float:
        """The threshold at which the store's nuclei are found: the one given, or the slide's own."""
        given = self.provenance["identity"]["objects"]["threshold"]
        return float(self.provenance["threshold"] if given is None else given)

    @property
    def measurements(self) -> str:
        """What is measured of each nucleus: basic or all."""
        return str(self.provenance["identity"]["objects"].get("measurements", "basic"))

    @property
    def levels(self) -> int:
        """Number of pyramid levels."""
        return int(self.provenance["levels"])

    @cached_property
    def blocks(self) -> Grid:
        """The grid of network blocks, which are the shards of level 0."""
        return Grid(self.frame.width, self.frame.height, SHARD_PX)

    @cached_property
    def tiles(self) -> Grid:
        """The grid of object tiles."""
        return Grid(self.frame.width, self.frame.height, int(self.provenance["tile_px"]))

    @cached_property
    def computed_boxes(self) -> dict[tuple[int, int], Box]:
        """The part of each block that the network computes, by row and column; none off tissue."""
        return computed_boxes(self.blocks, self.tissue, self.frame.scale_l0)

    @cached_property
    def confidence(self) -> tuple[ChunkFiles, ...]:
        """Confidence, uint8 with 255 for 1, at each level of its pyramid."""
        if self._pixels is not None:
            return self._pixels.confidence
        return tuple(self._image(names.confidence(level)) for level in range(self.levels))

    @cached_property
    def labels(self) -> tuple[ChunkFiles, ...]:
        """The id of the nucleus at each pixel, uint32, 0 for none, at each level of the pyramid."""
        return tuple(self._image(names.labels(level)) for level in range(self.levels))

    @cached_property
    def haematoxylin(self) -> ChunkFiles:
        """Density of haematoxylin, uint8, one pixel for `STAIN_DOWNSAMPLE` of the frame."""
        return self._pixels.haematoxylin if self._pixels is not None else self._image(names.HAEMATOXYLIN)

    @cached_property
    def planes(self) -> tuple[ChunkFiles, ...]:
        """Haematoxylin, eosin and grey level (see `stain_planes`), uint8; empty with basic measurements."""
        if self._pixels is not None:
            return self._pixels.planes
        return tuple(map(self._image, names.PLANES)) if self.measurements == "all" else ()

    @cached_property
    def tile_labels(self) -> ChunkFiles:
        """Labels as each tile numbers them, from 1, uint32; deleted when the slide is finished."""
        return self._image(names.TILE_LABELS)

    def states(self, stage: Stage, level: int = 0) -> StateFiles:
        """Return the states of a stage; `level` is that of a pyramid, from 1."""
        if self._pixels is not None and stage is Stage.NETWORK:
            return self._pixels.states(stage)
        if (stage, level) not in self._states:
            path = names.states(stage, level)
            self._states[stage, level] = StateFiles(self.path / path, self.array(path).shape)
        return self._states[stage, level]

    @cached_property
    def _states(self) -> dict[tuple[Stage, int], StateFiles]:
        return {}

    @cached_property
    def tissue(self) -> Tissue:
        """Where nuclei are looked for."""
        stored = self.array(names.TISSUE)
        scale_l0 = float(stored.attrs["scale_l0"])  # type: ignore[arg-type]
        parts = np.asarray(stored[:])
        remarks = tuple(map(str, stored.attrs["remarks"]))  # type: ignore[arg-type]
        return Tissue(parts > 0, scale_l0, parts > 1, remarks)

    @cached_property
    def regions(self) -> Regions:
        """The regions that were drawn on the slide; none where it is computed without."""
        if self._pixels is not None:
            return self._pixels.regions
        if names.REGIONS not in self.root:
            return Regions(())
        return parse_regions(np.asarray(self.array(names.REGIONS)[:], np.uint8).tobytes().decode())

    def array(self, name: str) -> zarr.Array[Any]:
        """Return an array of the store as Zarr sees it, by its path (see `wsiseg.store.names`)."""
        found = self.root[name]
        if not isinstance(found, zarr.Array):
            raise StoreError(f"{self.path}: {name} is not an array; the store is damaged, use --overwrite")
        return found

    def _image(self, name: str) -> ChunkFiles:
        return ChunkFiles.of(self.path / name, self.array(name))

    def is_same_as(self, other: SlideStore) -> bool:
        """Whether this folder exists and holds what `other` has read from it."""
        needed = [names.confidence(0), names.HAEMATOXYLIN, names.labels(0)]
        try:
            if not other.is_complete:
                needed += [names.TILE_LABELS, names.states(Stage.LABELS)]
            for name in needed:
                self.array(name)
            return bool(self.provenance["identity"] == other.provenance["identity"])
        except (StoreError, KeyError):
            return False

    def write_records(self, row: int, col: int, tables: Mapping[str, pa.Table]) -> None:
        """Write a tile's tables, each whole or not at all."""
        import pyarrow as pa

        for name, table in tables.items():
            target = self._records_path(row, col, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            sink = pa.BufferOutputStream()
            with pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
            write_whole(target, sink.getvalue())

    def read_records(self, row: int, col: int, name: str, columns: Sequence[str] = ()) -> pa.Table:
        """Return one of a tile's tables, or some columns of it."""
        import pyarrow as pa

        with pa.OSFile(str(self._records_path(row, col, name)), "rb") as source:
            if not columns:
                return pa.ipc.open_file(source).read_all()
            known = pa.ipc.open_file(source).schema.names
            options = pa.ipc.IpcReadOptions(included_fields=[known.index(column) for column in columns])
            return pa.ipc.open_file(source, options=options).read_all()

    def _records_path(self, row: int, col: int, name: str) -> Path:
        return self.path / names.RECORDS / f"{row}-{col}.{name}.arrow"

    def write_keys(self, keys: npt.NDArray[np.int64]) -> None:
        """Store the sorted keys of all nuclei for the workers that paint labels."""
        with put_whole(self.path / names.KEYS) as beside, beside.open("wb") as file:
            np.save(file, keys, allow_pickle=False)
        self.__dict__.pop("keys", None)

    @cached_property
    def keys(self) -> npt.NDArray[np.int64]:
        """The sorted keys of all nuclei, see `wsiseg.store.numbering`."""
        stored: npt.NDArray[np.int64] = np.load(self.path / names.KEYS, mmap_mode="r", allow_pickle=False)
        return stored

    def note_failure(self, row: int, col: int, cause: str) -> None:
        """Record why a block stays empty; no two workers write the same file."""
        folder = self.path / names.FAILURES
        folder.mkdir(parents=True, exist_ok=True)
        failure = {"row": row, "col": col, "cause": cause}
        write_whole(folder / f"{row}-{col}.json", json.dumps(failure).encode())

    def failures(self) -> list[dict[str, Any]]:
        """Return the blocks that stay empty with their causes, in raster order; for an unfinished store."""
        found = [
            json.loads(file.read_text(encoding="utf-8"))
            for file in (self.path / names.FAILURES).glob("*.json")
        ]
        return sorted(found, key=lambda failure: (failure["row"], failure["col"]))

    def note(self, name: str, value: Mapping[str, Any]) -> None:
        """Record what a later run must know to resume."""
        write_whole(self.path / names.WORK / f"{name}.json", json.dumps(value).encode())

    def noted(self, name: str) -> dict[str, Any] | None:
        """Return what was recorded, or None."""
        try:
            found: dict[str, Any] = json.loads((self.path / names.WORK / f"{name}.json").read_bytes())
        except FileNotFoundError:
            return None
        return found

    def annotate(self, **values: Any) -> None:
        """Add to the provenance in the root attributes."""
        self.provenance.update(values)
        self.root.attrs["wsiseg"] = self.provenance

    @property
    def has_arrays(self) -> bool:
        """Whether it is more than the record of a slide whose arrays were not kept."""
        return bool(self.provenance.get("arrays", True))

    def keep_record(self) -> None:
        """Delete the arrays; what is left says which slide was done, with what, and what came of it."""
        self.annotate(arrays=False)
        self.root.attrs.pop("ome", None)
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)

    def remove_work(self) -> None:
        """Delete the files that only an unfinished store needs."""
        shutil.rmtree(self.path / names.WORK, ignore_errors=True)
        for leftover in self.path.rglob("*.partial"):
            leftover.unlink(missing_ok=True)


def _maker(stored: Any) -> str:
    """Return, as text, who wrote a store of another format."""
    if not isinstance(stored, dict):
        return "a Zarr store, but not of wsiseg"
    by = stored.get("versions", {}).get("wsiseg", "of another version")
    return f"written by wsiseg {by} in format {stored.get('format')!r}"
