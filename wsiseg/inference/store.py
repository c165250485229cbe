"""The Zarr store of one slide: OME-Zarr 0.5 when finished, and the state of the work while it is not.

`OUT/<name>.zarr.unfinished` is renamed to `OUT/<name>.zarr` when everything in it is complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import zarr

from wsiseg.errors import StoreError
from wsiseg.slides.tiles import Grid
from wsiseg.slides.tissue import Tissue
from wsiseg.whole import put_whole, write_whole

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
SHARD_PX = 1024
STAIN_DOWNSAMPLE = 2
MIN_TILE_PX = 64

TODO, DONE, FAILED = 0, 1, 2


@dataclass(frozen=True)
class FrameInfo:
    """The slide at the model's resolution: pixels, micrometres per pixel, level-0 pixels per pixel."""

    width: int
    height: int
    mpp: float
    scale_l0: float


@dataclass(frozen=True)
class Identity:
    """What must be the same for two runs to share a store.

    Parameters
    ----------
    model : str
        SHA-256 of the model file.
    slide : str
        Fingerprint of the slide.
    frame : FrameInfo
    objects, tissue : dict
        The stages' settings; objects with the threshold in use.
    """

    model: str
    slide: str
    frame: FrameInfo
    objects: Mapping[str, Any]
    tissue: Mapping[str, Any]

    def differences(self, stored: Mapping[str, Any]) -> list[str]:
        """Return what a stored identity has otherwise, as `name: there != here`."""
        mine = _flat(json.loads(json.dumps(asdict(self))))
        theirs = _flat(stored)
        return [
            f"{key}: {theirs.get(key)!r} there, {mine.get(key)!r} asked for"
            for key in sorted(mine.keys() | theirs.keys())
            if mine.get(key) != theirs.get(key)
        ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


class SlideStore:
    """Arrays, status and records of one slide; opens lazily, so that workers receive only its path.

    Parameters
    ----------
    path : path-like
        The store's folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    @cached_property
    def root(self) -> zarr.Group:
        """The root group."""
        try:
            return zarr.open_group(self.path, mode="r+", zarr_format=3)
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(f"{self.path}: not a Zarr store of wsiseg: {error}") from error

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """What the root attributes say of the run."""
        stored = self.root.attrs.asdict().get("wsiseg")
        if not isinstance(stored, dict) or stored.get("format") != FORMAT:
            raise StoreError(
                f"{self.path}: not a store of this version of wsiseg; choose another folder or --overwrite"
            )
        return stored

    def array(self, name: str) -> zarr.Array[Any]:
        """Return an array of the store by its path."""
        if name not in self._arrays:
            found = self.root[name]
            if not isinstance(found, zarr.Array):
                raise StoreError(
                    f"{self.path}: {name} is not an array; the store is damaged, use --overwrite"
                )
            self._arrays[name] = found
        return self._arrays[name]

    @cached_property
    def _arrays(self) -> dict[str, zarr.Array[Any]]:
        return {}

    @cached_property
    def frame(self) -> FrameInfo:
        """The frame of the store's first level."""
        return FrameInfo(**self.provenance["identity"]["frame"])

    @cached_property
    def blocks(self) -> Grid:
        """The grid of network blocks."""
        return Grid(self.frame.width, self.frame.height, SHARD_PX)

    @cached_property
    def tiles(self) -> Grid:
        """The grid of object tiles."""
        return Grid(self.frame.width, self.frame.height, int(self.provenance["tile_px"]))

    @cached_property
    def tissue(self) -> Tissue:
        """What was computed."""
        stored = self.array("tissue")
        scale_l0 = float(stored.attrs["scale_l0"])  # type: ignore[arg-type]
        return Tissue(np.asarray(stored[:]) > 0, scale_l0)

    @property
    def levels(self) -> int:
        """Number of pyramid levels."""
        return int(self.provenance["levels"])

    def write_records(self, row: int, col: int, tables: Mapping[str, pa.Table]) -> None:
        """Write a tile's tables (whole or not at all)."""
        import pyarrow as pa

        folder = self.path / "work" / "records"
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            target = self._record_path(row, col, name)
            sink = pa.BufferOutputStream()
            with pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
            write_whole(target, sink.getvalue())

    def read_records(self, row: int, col: int, name: str) -> pa.Table:
        """Return one of a tile's tables."""
        import pyarrow as pa

        with pa.OSFile(str(self._record_path(row, col, name)), "rb") as source:
            return pa.ipc.open_file(source).read_all()

    def _record_path(self, row: int, col: int, name: str) -> Path:
        return self.path / "work" / "records" / f"{row}-{col}.{name}.arrow"

    def write_keys(self, keys: npt.NDArray[np.int64]) -> None:
        """Keep the sorted keys of all nuclei for the workers that paint labels."""
        target = self.path / "work" / "keys.npy"
        with put_whole(target) as beside, beside.open("wb") as file:
            np.save(file, keys, allow_pickle=False)
        self.__dict__.pop("keys", None)

    @cached_property
    def keys(self) -> npt.NDArray[np.int64]:
        """The sorted keys of all nuclei, see `stages.marker_keys`."""
        stored: npt.NDArray[np.int64] = np.load(
            self.path / "work" / "keys.npy", mmap_mode="r", allow_pickle=False
        )
        return stored

    def note_failure(self, row: int, col: int, cause: str) -> None:
        """Keep why a block stays empty; no two workers write the same file."""
        folder = self.path / "work" / "failures"
        folder.mkdir(parents=True, exist_ok=True)
        failure = {"row": row, "col": col, "cause": cause}
        write_whole(folder / f"{row}-{col}.json", json.dumps(failure).encode())

    def failures(self) -> list[dict[str, Any]]:
        """Return the blocks that stay empty with their causes, in raster order."""
        found = [
            json.loads(file.read_text(encoding="utf-8")) for file in self.path.glob("work/failures/*.json")
        ]
        return sorted(found, key=lambda failure: (failure["row"], failure["col"]))

    def annotate(self, **values: Any) -> None:
        """Add to the provenance in the root attributes."""
        self.provenance.update(values)
        self.root.attrs["wsiseg"] = self.provenance

    def remove_work(self) -> None:
        """Delete what only an unfinished store needs."""
        shutil.rmtree(self.path / "work", ignore_errors=True)
        for leftover in self.path.rglob("*.partial"):
            leftover.unlink(missing_ok=True)
